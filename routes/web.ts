// The talk page and the console, when WEB_UI is on: what web/ was built to, from memory, under a policy without exceptions.
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import fp from 'fastify-plugin'

interface File { body: Buffer, small?: Buffer, type: string }

const compress = promisify(brotliCompress)
const types: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' }
/** Names of built files hold a hash of what is in them. */
const forever = 'public, max-age=31536000, immutable'
const hidden = { schema: { hide: true } }

/** Beside package.json, from the sources and from dist/. */
const folders = ['../web/dist/', '../../web/dist/'].map((path) => fileURLToPath(new URL(path, import.meta.url)))

const web: FastifyPluginAsync = async (app) => {
  if (app.config.WEB_UI === 'off') return
  const files = await readBuilt()
  const policy = policyFor(app.config.LIVEKIT_URL)

  const send = (reply: FastifyReply, name: string) => {
    const file = files.get(name)
    if (!file) return reply.callNotFound()
    const { 'accept-encoding': accepted = '' } = reply.request.headers
    const small = /\bbr\b/.test(String(accepted)) ? file.small : undefined
    if (small) reply.header('content-encoding', 'br')
    return reply
      .header('vary', 'accept-encoding')
      .header('cache-control', name.startsWith('assets/') ? forever : 'no-cache')
      .header('content-security-policy', policy)
      .header('permissions-policy', 'microphone=(self), camera=(), geolocation=()')
      .type(file.type)
      .send(small ?? file.body)
  }

  app.get('/talk', hidden, async (_request, reply) => send(reply, 'talk.html'))
  app.get('/console', hidden, async (_request, reply) => send(reply, 'console.html'))
  app.get<{ Params: { '*': string } }>('/web/*', hidden, async (request, reply) => send(reply, request.params['*']))
}

/** @throws Error when web/ has not been built */
async function readBuilt (): Promise<Map<string, File>> {
  for (const folder of folders) {
    const names = await readdir(folder, { recursive: true }).catch((): string[] => [])
    if (!names.includes('talk.html')) continue
    const kept = names.filter((name) => types[extname(name)])
    return new Map(await Promise.all(kept.map(async (name) => {
      const body = await readFile(join(folder, name))
      const small = await compress(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })
      return [name, { body, small, type: types[extname(name)]! }] as const
    })))
  }
  throw new Error('The environment is not right: WEB_UI is on, and the pages have not been built (npm run build:web).')
}

/** Scripts, styles and images of our own; connections to the service and to LiveKit, on Cloud to all of its regions. No inline code, no frames. */
function policyFor (livekitUrl: string): string {
  const { host, hostname } = new URL(livekitUrl)
  const tls = /^(wss|https):/.test(livekitUrl) ? 's' : ''
  const livekit = [host, ...(hostname.endsWith('.livekit.cloud') ? ['*.livekit.cloud'] : [])].flatMap((name) => [`ws${tls}://${name}`, `http${tls}://${name}`])
  return [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "media-src 'self' blob:",
    `connect-src 'self' ${livekit.join(' ')}`, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
  ].join('; ')
}

export default fp(web, { name: 'web', encapsulate: true, dependencies: ['errors'], decorators: { fastify: ['config'] } })
