// An S3-compatible storage on this machine's loopback that checks every signature, for proofs: the Versity gateway on a folder, found in the cache or built with Go.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AwsClient } from 'aws4fetch'
import { guard } from './guard.ts'
import { buildLiveKit as build } from './livekit/build-livekit.ts'
import { freeTcpPort } from './livekit/livekit.ts'

const VERSION = 'v1.8.0'
const STARTS_WITHIN = 10_000 // ms

/** Starts it with one empty bucket; `env` is what the service needs to know of it. */
export async function startStorage () {
  const binary = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'livekit-sessions', `versitygw-${VERSION}`, 'server')
  await build({ module: 'github.com/versity/versitygw/cmd/versitygw', version: VERSION, target: binary, log: console.log })
  const folder = await mkdtemp(join(tmpdir(), 'storage-'))
  for (const name of ['data', 'meta']) await mkdir(join(folder, name))
  const port = await freeTcpPort()
  const [key, secret] = ['recorder', randomBytes(20).toString('hex')]
  const child = spawn(binary, ['--port', `127.0.0.1:${port}`, '--access', key, '--secret', secret, '--quiet', 'posix', '--sidecar', `${folder}/meta`, `${folder}/data`], { stdio: 'ignore', detached: true })
  guard(child, folder)
  const exited = new Promise<void>((resolve) => { child.once('exit', () => resolve()).once('error', () => resolve()) })

  const endpoint = `http://127.0.0.1:${port}`
  const client = new AwsClient({ accessKeyId: key, secretAccessKey: secret, service: 's3', region: 'us-east-1', retries: 0 })
  const giveUp = Date.now() + STARTS_WITHIN
  for (let made = false; !made;) {
    made = await client.fetch(`${endpoint}/recordings`, { method: 'PUT' }).then(({ ok }) => ok, () => false)
    if (!made && Date.now() > giveUp) throw new Error('the storage did not start')
    if (!made) await sleep(50)
  }
  return {
    endpoint,
    env: { S3_ENDPOINT: endpoint, S3_BUCKET: 'recordings', S3_ACCESS_KEY: key, S3_SECRET_KEY: secret },
    /** What is in it, as it says itself. */
    async files () {
      const list = await (await client.fetch(`${endpoint}/recordings?list-type=2`)).text()
      return [...list.matchAll(/<Key>(.*?)<\/Key>/g)].map(([, name]) => name!)
    },
    async stop () {
      child.kill()
      await exited
      await rm(folder, { recursive: true, force: true })
    }
  }
}
