// The keys of transcripts: seal what was said before it is stored, and sign the tokens with which agents write.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { createAgentTokens, type AgentTokens } from './agent-tokens.ts'
import { TranscriptUnreadable } from './errors.ts'

/** One line as it is stored: which key sealed it, and nonce (12 bytes), tag (16 bytes) and ciphertext of AES-256-GCM. */
export interface Sealed { key_id: string, sealed: Buffer }

/** Its tokens let their holder write the transcript of one session. */
export interface TranscriptKeys extends AgentTokens {
  /** Seals a text with the first key. It opens at the same place of the same session only. */
  seal: (sessionId: string, place: string, text: string) => Sealed
  /** @throws TranscriptUnreadable */
  open: (sessionId: string, place: string, line: Sealed) => string
}

const NONCE = 12
const TAG = 16

/** The ids and keys of an `id:key` comma list. */
export function readKeys (text: string): Array<{ id: string, hex: string }> {
  return text.split(',').map((entry) => {
    const [id = '', hex = ''] = entry.trim().split(':')
    return { id, hex }
  })
}

/**
 * @param text `id:key` comma list, each key 32 bytes in hex: the first seals and signs, all open and verify. So a key is changed by putting
 * the new one in front, and dropped when RETENTION_DAYS are over.
 */
export function createTranscriptKeys (text: string): TranscriptKeys {
  const keys = new Map(readKeys(text).map(({ id, hex }) => [id, { id, master: Buffer.from(hex, 'hex') }]))
  const [first] = keys.values()

  return {
    ...createAgentTokens(new Map([...keys.values()].map(({ id, master }) => [id, derive(master, '', 'token')]))),

    seal (sessionId, place, text) {
      const nonce = randomBytes(NONCE)
      const cipher = createCipheriv('aes-256-gcm', derive(first!.master, sessionId, 'lines'), nonce).setAAD(Buffer.from(`${sessionId}/${place}`))
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return { key_id: first!.id, sealed: Buffer.concat([nonce, cipher.getAuthTag(), sealed]) }
    },

    open (sessionId, place, { key_id: id, sealed }) {
      const key = keys.get(id)
      if (!key) throw new TranscriptUnreadable({ cause: new Error(`TRANSCRIPT_KEYS has no key "${id}"`) })
      try {
        const decipher = createDecipheriv('aes-256-gcm', derive(key.master, sessionId, 'lines'), sealed.subarray(0, NONCE), { authTagLength: TAG })
          .setAAD(Buffer.from(`${sessionId}/${place}`)).setAuthTag(sealed.subarray(NONCE, NONCE + TAG))
        return decipher.update(sealed.subarray(NONCE + TAG), undefined, 'utf8') + decipher.final('utf8')
      } catch (cause) {
        throw new TranscriptUnreadable({ cause })
      }
    }
  }
}

/** Each session has a key of its own, so that no nonce comes twice under one, however much is said. */
function derive (master: Buffer, salt: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, salt, `livekit-sessions transcript ${purpose}`, 32))
}
