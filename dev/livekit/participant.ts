// Participants of LiveKit rooms for tests: real joins over WebRTC, in child processes that can also be crashed.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Caption, News, Order } from './participant-host.ts'

export interface JoinOptions {
  /** ws:// address of the server. */
  url: string
  /** Join token; its identity and room are the participant's. */
  token: string
  /** Publish a tone as a microphone. */
  publish?: boolean
  /** Run in a process of its own (0.4 s more), so that kill() can crash it. */
  killable?: boolean
}

/** Somebody in a room. */
export interface Joined {
  identity: string
  room: string
  /** LiveKit's reason, such as CLIENT_INITIATED or ROOM_DELETED; PROCESS_ENDED after a kill. */
  disconnected: Promise<string>
  /** The token LiveKit sends 70 to 110 ms after the join, good for ten minutes or more; pends for ever when none comes. */
  refreshedToken: Promise<string>
  /** Says something by attributes; the token must allow canUpdateOwnMetadata. */
  setAttributes: (attributes: Record<string, string>) => Promise<void>
  /** Tells the room what was said; the token must allow data. */
  caption: (caption: Caption) => Promise<void>
  /** Publishes a grey picture as a camera or a screen; rejects when LiveKit does not allow it. */
  publishVideo: (source: 'camera' | 'screen_share') => Promise<void>
  /** Beeps once a second and hears what comes back from the agent: the round trip of each beep that came back, ms; rejects when no agent makes sound within 10 s. */
  echo: (beeps: number) => Promise<number[]>
  /** What comes from somebody within a time: 10 ms of sound that is not silence, and pictures. */
  receive: (from: string, ms: number) => Promise<{ sound: number, pictures: number }>
  leave: () => Promise<void>
}

export type Participant = Awaited<ReturnType<typeof joinRoom>>
export type Host = ReturnType<typeof startHost>

let shared: Host | undefined

/**
 * Joins a room and resolves once connected.
 * @throws with the native client's message when LiveKit refuses (a 404, a full room) or after its own timeouts (up to 15 s).
 */
export async function joinRoom ({ killable = false, ...options }: JoinOptions) {
  const host = killable ? startHost() : (shared ??= startHost(() => { shared = undefined }))
  try {
    const participant = await host.join(options)
    return {
      ...participant,
      /** Leaves as a client that says goodbye. */
      leave: async () => {
        await participant.leave()
        if (killable) host.stop()
      },
      /** Dies without a word: LiveKit still counts it for 20 s (its ICE timeouts). */
      kill: async () => {
        if (!killable) throw new Error('Only a participant joined with killable: true can be killed.')
        await host.kill()
      }
    }
  } catch (error) {
    if (killable) host.stop()
    throw error
  }
}

/** Ends the process that joinRoom's participants share; not needed, it ends with this one. */
export function disposeParticipants (): void {
  shared?.stop()
}

/**
 * Starts a process for participants. It does not keep this process alive unless somebody is in a room or on the way,
 * and ends with it, after leaving in order.
 */
export function startHost (onExit = () => {}) {
  const child = fork(fileURLToPath(new URL('./participant-host.ts', import.meta.url)), {
    execArgv: ['--import', import.meta.resolve('tsx')],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
    detached: true // Ctrl-C is for us; we tell it
  })
  const listeners = new Map<number, (news: News) => void>()
  let last = 0
  hold()

  const exited = new Promise<void>((resolve) => {
    const over = (why: string) => {
      for (const [id, listener] of [...listeners]) {
        listener({ id, event: 'failed', message: why })
        listener({ id, event: 'disconnected', reason: 'PROCESS_ENDED' })
      }
      onExit()
      resolve()
    }
    child.once('exit', () => over('the participant\'s process ended'))
    child.once('error', (error) => over(error.message))
  })
  child.on('message', (news: News) => listeners.get(news.id)?.(news))

  function hold (): void {
    if (listeners.size) {
      child.ref()
      child.channel?.ref()
    } else {
      child.unref()
      child.channel?.unref()
    }
  }

  function send (order: Order): void {
    if (child.connected) child.send(order)
  }

  /** Joins a room; see joinRoom. */
  function join ({ url, token, publish = false }: Omit<JoinOptions, 'killable'>): Promise<Joined> {
    const id = ++last
    const disconnected = deferred<string>()
    const refreshedToken = deferred<string>()
    const done: Array<(error?: string, result?: number[]) => void> = []
    const finish = () => {
      listeners.delete(id)
      hold()
      for (const tell of done.splice(0)) tell()
    }
    const ask = (order: Order) => new Promise<number[]>((resolve, reject) => {
      if (!listeners.has(id)) return resolve([])
      done.push((error, result = []) => error ? reject(new Error(error)) : resolve(result))
      send(order)
    })

    return new Promise<Joined>((resolve, reject) => {
      listeners.set(id, (news) => {
        if (news.event === 'failed') {
          finish()
          reject(new Error(news.message))
        } else if (news.event === 'joined') {
          resolve({
            identity: news.identity,
            room: news.room,
            disconnected: disconnected.promise,
            refreshedToken: refreshedToken.promise,
            setAttributes: async (attributes) => { await ask({ id, op: 'attributes', attributes }) },
            caption: async (caption) => { await ask({ id, op: 'caption', ...caption }) },
            publishVideo: async (source) => { await ask({ id, op: 'video', source }) },
            echo: (beeps) => ask({ id, op: 'echo', beeps }),
            receive: async (from, ms) => {
              const [sound = 0, pictures = 0] = await ask({ id, op: 'receive', from, ms })
              return { sound, pictures }
            },
            leave: async () => { await ask({ id, op: 'leave' }) }
          })
        } else if (news.event === 'token') {
          refreshedToken.resolve(news.token)
        } else if (news.event === 'disconnected') {
          disconnected.resolve(news.reason)
          finish()
        } else {
          done.shift()?.(news.error, news.result)
        }
      })
      hold()
      send({ id, op: 'join', url, token, publish })
    })
  }

  return {
    join,
    /** Everybody in it leaves in order, then it ends. */
    stop: () => { if (child.connected) child.disconnect() },
    /** SIGKILL: nobody in it says goodbye. */
    kill: () => { child.kill('SIGKILL'); return exited },
    exited
  }
}

function deferred<T> () {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
