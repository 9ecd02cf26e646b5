// A UDP line that is slow or narrow: datagrams come later than they were sent, one after the other, and those it has no room for are lost.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'

export interface Line {
  /** How long each datagram is on its way, ms. */
  delay?: number
  /** Bits per second of either direction; without limit when not given. */
  rate?: number
}

/** How much a narrow line holds back before it loses, ms of its rate. */
const QUEUE = 200
/** What IP and UDP put before each datagram, bytes. */
const HEADERS = 28

/**
 * A relay at `address`, one port for each of the ports at `address` that it leads to, in their order. Each client has a socket of its own
 * behind it, so that answers find back.
 */
export async function startSlowLine ({ address, ports }: { address: string, ports: number[] }) {
  let line: Line = {}
  const sockets: Socket[] = []
  const clients = new Map<string, Socket>()
  const timers = new Set<NodeJS.Timeout>()
  /** When the last datagram of a direction will have been sent. */
  const free = { there: 0, back: 0 }

  function carry (direction: keyof typeof free, bytes: number, deliver: () => void) {
    const now = performance.now()
    const begin = Math.max(now, free[direction])
    if (line.rate) {
      if (begin - now > QUEUE) return
      free[direction] = begin + (bytes + HEADERS) * 8000 / line.rate
    }
    const wait = (line.rate ? free[direction] - now : 0) + (line.delay ?? 0)
    if (wait <= 0) return deliver()
    const timer = setTimeout(() => {
      timers.delete(timer)
      deliver()
    }, wait)
    timers.add(timer)
  }

  async function lead (port: number): Promise<number> {
    const front = createSocket('udp4')
    sockets.push(front)
    front.on('message', (message: Buffer, from: RemoteInfo) => {
      const who = `${from.address}:${from.port}:${port}`
      let behind = clients.get(who)
      if (!behind) {
        behind = createSocket('udp4').on('message', (answer: Buffer) => carry('back', answer.length, () => front.send(answer, from.port, from.address))).on('error', () => {})
        clients.set(who, behind)
      }
      carry('there', message.length, () => behind.send(message, port, address))
    })
    front.bind(0, address)
    await once(front, 'listening')
    return front.address().port
  }

  return {
    ports: await Promise.all(ports.map(lead)),
    /** From now on it is like this. */
    be: (next: Line) => { line = next },
    stop () {
      for (const timer of timers) clearTimeout(timer)
      for (const socket of [...sockets, ...clients.values()]) socket.close()
    }
  }
}
