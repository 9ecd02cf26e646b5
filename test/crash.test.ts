// kill -9 at each point of a start and of an end: one pass later room and row agree, and slot and key are free.
import t from 'tap'
import { crashAt, crashPoints } from '../dev/faults/crash.ts'
import { startLiveKit } from '../dev/livekit/livekit.ts'
import { databaseFor, jwtSecret } from './helper.ts'

const livekit = await startLiveKit()
t.teardown(() => livekit.stop())
const databaseUrl = await databaseFor(t)

for (const [n, point] of Object.keys(crashPoints).entries()) {
  t.test(point, async (t) => {
    t.same(await crashAt(point, { livekit, databaseUrl, jwtSecret, user: `victim${n}` }), { roomsWithoutRow: 0, rowsWithoutRoom: 0, stuckRows: 0, slotsHeld: 0, keyFree: true })
  })
}
