// Whether the service can serve, as a balancer is told.
import t from 'tap'
import { createReadiness } from '../src/sessions/readiness.ts'

const clock = { now: Date.now, elapsed: () => performance.now(), sleep: async () => {} }
const livekit = { listParticipants: async () => [] }

t.test('once it is about to stop it says so at once, without waiting for what does not answer', async (t) => {
  const readiness = createReadiness({ store: { ping: () => new Promise(() => {}) }, livekit, clock })
  readiness.drain()
  t.strictSame(await readiness(), { status: 'draining', database: 'unknown', livekit: 'unknown' })
})

t.test('whoever asked before is told of it, too', async (t) => {
  let answer = () => {}
  const readiness = createReadiness({ store: { ping: () => new Promise((resolve) => { answer = resolve }) }, livekit, clock })
  const asked = readiness()
  readiness.drain()
  answer()
  t.strictSame(await asked, { status: 'draining', database: 'ok', livekit: 'ok' })
})

t.test('one look serves all who ask within a second', async (t) => {
  let looks = 0
  const readiness = createReadiness({ store: { ping: async () => { looks++ } }, livekit, clock: { ...clock, elapsed: () => 0 } })
  for (let n = 0; n < 3; n++) t.strictSame(await readiness(), { status: 'ready', database: 'ok', livekit: 'ok' })
  t.equal(looks, 1)
})
