import t from 'tap'
import { loadConfig } from '../plugins/config.ts'

t.test('LIVEKIT_WORKER_NUM_IDLE is 2 by default (A1.5)', async (t) => {
  const config = loadConfig({ LIVEKIT_URL: 'ws://127.0.0.1:7880', LIVEKIT_API_KEY: 'devkey', LIVEKIT_API_SECRET: '0123456789abcdef0123456789abcdef', JWT_SECRET: 'fedcba9876543210fedcba9876543210' })
  t.equal(config.LIVEKIT_WORKER_NUM_IDLE, 2)
})
