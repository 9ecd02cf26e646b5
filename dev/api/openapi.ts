// `npm run openapi`: writes the API document of the running app to openapi.json, from which SDKs are generated.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildApp } from '../../src/app.ts'

export const openapiFile = fileURLToPath(new URL('../../openapi.json', import.meta.url))

/** The document as text, the way it is committed. */
export function asText (document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = await mkdtemp(join(tmpdir(), 'sessions-openapi-'))
  const app = await buildApp({
    // Nothing is asked of LiveKit: the document comes from the routes.
    environment: { LIVEKIT_URL: 'ws://127.0.0.1:7880', LIVEKIT_API_KEY: 'none', LIVEKIT_API_SECRET: '7f2c19d0b8e64a35910cd7e2f6a8b34c', JWT_SECRET: '0c8f5e7a91d24b63a7e0f1c2d3b49586', DATA_DIR: folder, LOG_LEVEL: 'silent' }
  })
  await writeFile(openapiFile, asText(app.swagger()))
  await app.close()
  await rm(folder, { recursive: true })
  console.log(`written: ${openapiFile}`)
}
