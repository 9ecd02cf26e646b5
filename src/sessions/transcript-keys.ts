// The keys of transcripts: seal what was said before it is stored.
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { TranscriptUnreadable } from './errors.ts'

/** One line as it is stored: which key sealed it, and nonce (12 bytes), tag (16 bytes) and ciphertext of AES-256-GCM. */
export interface Sealed { key_id: string, sealed: Buffer }

export interface TranscriptKeys {
  /** Seals a text with the first key. It opens at the same place of the same session only. */
  seal: (sessionId: string, place: string, text: string) => Sealed
  /** @throws TranscriptUnreadable */
  open: (sessionId: string, place: string, line: Sealed) => string
}

const NONCE = 12
const TAG = 16

/** The keys of a comma list, each 32 bytes in base64, and their ids: the beginning of their digests. */
export function readKeys (text: string): Array<{ id: string, key: Buffer }> {
  return text.split(',').map((entry) => {
    const key = Buffer.from(entry.trim(), 'base64')
    return { id: createHash('sha256').update(key).digest('hex').slice(0, 8), key }
  })
}

/**
 * @param text comma list, each key 32 bytes in base64: the first seals, all open. So a key is changed by putting the new one in front, and
 * dropped when RETENTION_DAYS are over.
 */
export function createTranscriptKeys (text: string): TranscriptKeys {
  const keys = new Map(readKeys(text).map((one) => [one.id, one]))
  const [first] = keys.values()

  return {
    seal (sessionId, place, text) {
      const nonce = randomBytes(NONCE)
      const cipher = createCipheriv('aes-256-gcm', derive(first!.key, sessionId), nonce).setAAD(Buffer.from(`${sessionId}/${place}`))
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return { key_id: first!.id, sealed: Buffer.concat([nonce, cipher.getAuthTag(), sealed]) }
    },

    open (sessionId, place, { key_id: id, sealed }) {
      const key = keys.get(id)
      if (!key) throw new TranscriptUnreadable({ cause: new Error(`the key ${id} is not in TRANSCRIPT_KEYS`) })
      try {
        const decipher = createDecipheriv('aes-256-gcm', derive(key.key, sessionId), sealed.subarray(0, NONCE), { authTagLength: TAG })
          .setAAD(Buffer.from(`${sessionId}/${place}`)).setAuthTag(sealed.subarray(NONCE, NONCE + TAG))
        return decipher.update(sealed.subarray(NONCE + TAG), undefined, 'utf8') + decipher.final('utf8')
      } catch (cause) {
        throw new TranscriptUnreadable({ cause })
      }
    }
  }
}

/** Each session has a key of its own, so that no nonce comes twice under one, however much is said. */
function derive (key: Buffer, sessionId: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, sessionId, 'livekit-sessions transcript lines', 32))
}
