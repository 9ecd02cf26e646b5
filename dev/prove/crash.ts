// `npm run prove:crash`: the service killed 10 times at each point of a start and of an end, on a real LiveKit and a real PostgreSQL.
import { randomBytes } from 'node:crypto'
import { crashAt, crashPoints } from '../faults/crash.ts'
import { startLiveKit } from '../livekit/livekit.ts'
import { startPostgres } from '../postgres.ts'

const TIMES = 10
const postgres = await startPostgres()
const livekit = await startLiveKit({ log: console.log })
let wrong = 0
try {
  for (const [n, point] of Object.keys(crashPoints).entries()) {
    const reports = []
    for (let time = 0; time < TIMES; time++) {
      reports.push(await crashAt(point, { livekit, databaseUrl: postgres.url, jwtSecret: randomBytes(32).toString('hex'), user: `victim-${n}-${time}` }))
    }
    const bad = reports.filter((report) => report.roomsWithoutRow + report.rowsWithoutRoom + report.stuckRows + report.slotsHeld > 0 || !report.keyFree)
    wrong += bad.length
    console.log(`${point.padEnd(40)} killed ${TIMES} times, ${bad.length} wrong ${bad.length > 0 ? JSON.stringify(bad) : ''}`)
  }
} finally {
  await livekit.stop()
  await postgres.stop()
}
process.exit(wrong === 0 ? 0 : 1)
