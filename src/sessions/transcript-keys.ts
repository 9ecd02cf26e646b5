// The keys of transcripts: seal what was said before it is stored, and sign the tokens with which agents write.
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { TranscriptUnreadable } from './errors.ts'

/** One line as it is stored: which key sealed it, and nonce (12 bytes), tag (16 bytes) and ciphertext of AES-256-GCM. */
export interface Sealed { key_id: string, sealed: Buffer }

export interface TranscriptKeys {
  /** Seals a text with the first key. It opens at the same place of the same session only. */
  seal: (sessionId: string, place: string, text: string) => Sealed
  /** @throws TranscriptUnreadable */
  open: (sessionId: string, place: string, line: Sealed) => string
  /** A token that lets its holder write the transcript of this session, and nothing else. */
  issue: (sessionId: string, expiresAt: Date) => string
  /** The session of a token that is good at `now`, ms. */
  read: (token: string, now: number) => string | undefined
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
  const keys = new Map(readKeys(text).map(({ id, hex }) => {
    const master = Buffer.from(hex, 'hex')
    return [id, { id, master, signing: derive(master, '', 'token') }]
  }))
  const [first] = keys.values()
  const sign = (signed: string, key: Buffer) => createHmac('sha256', key).update(signed).digest()

  return {
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
    },

    // A JWT, so that whatever cuts tokens out of logs knows it.
    issue (sessionId, expiresAt) {
      const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
      const signed = `${encode({ alg: 'HS256', kid: first!.id })}.${encode({ sid: sessionId, exp: Math.floor(expiresAt.getTime() / 1000) })}`
      return `${signed}.${sign(signed, first!.signing).toString('base64url')}`
    },

    // The algorithm is ours, whatever a header says.
    read (token, now) {
      const [header = '', claims = '', signature = ''] = token.split('.')
      const given = Buffer.from(signature, 'base64url')
      for (const { signing } of keys.values()) {
        const expected = sign(`${header}.${claims}`, signing)
        if (given.length !== expected.length || !timingSafeEqual(given, expected)) continue
        const { sid, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { sid: string, exp: number }
        return exp * 1000 > now ? sid : undefined
      }
      return undefined
    }
  }
}

/** Each session has a key of its own, so that no nonce comes twice under one, however much is said. */
function derive (master: Buffer, salt: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', master, salt, `livekit-sessions transcript ${purpose}`, 32))
}
