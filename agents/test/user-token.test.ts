// Tools that act for the user, through the whole service: the tool server gets a token of this user and session that it can verify; nobody else sees it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { createUserTokens } from '../src/mcp/user-token.ts'
import { call } from './support/caller.ts'
import { startMcpServer } from './support/mcp-server.ts'
import { until } from './support/processes.ts'
import { agentJoins } from './support/session.ts'
import { startWholeStage, type WholeStage } from './support/stage.ts'
import { claimsOf } from './support/tool-token.ts'

const KEY = 'yKHwTnuS02UOi0fPEtWaY3TrCNH2kjylsNceb0gpXDs='
const seen: Array<Record<string, unknown>> = []
const tokens = new Set<string>()
let stage: WholeStage
let mcp: Awaited<ReturnType<typeof startMcpServer>>

/** As a tool server would: whom it is for, too. */
async function accepts (authorization: string): Promise<boolean> {
  const claims = await claimsOf(authorization, stage.service.url)
  if (!claims) return false
  seen.push(claims)
  tokens.add(authorization.replace('Bearer ', ''))
  return claims.aud === 'tracker'
}

before(async () => {
  mcp = await startMcpServer({ accepts })
  stage = await startWholeStage({ mcp: { url: mcp.url, auth: { type: 'user', audience: 'tracker' } }, serviceEnv: { TOOL_TOKEN_KEYS: KEY, LOG_LEVEL: 'debug' } })
})
after(async () => {
  await stage?.stop()
  await mcp?.kill()
})

test('two users, each with tools that act for them alone; in writing, so that all of it is read', async () => {
  const { livekit, service, model, worker } = stage
  for (const user of ['anna', 'bob']) {
    const session = await service.start(user, 'workout', { text_only: true })
    const { identity: agent } = await agentJoins(livekit, session.roomName)
    const caller = await call(livekit, session.roomName, user, undefined, session.token, false)
    await until('the greeting', () => caller.transcripts.some(({ from }) => from === agent))
    seen.length = 0
    await caller.room.localParticipant!.sendText('What is the weather in Paris?', { topic: 'lk.chat' })
    await until('the answer', () => caller.transcripts.some(({ from, text }) => from === agent && /snowy in Paris/.test(text)), 15_000)
    assert.ok(seen.length > 0)
    for (const claims of seen) assert.deepEqual([claims.sub, claims.aud, claims.agent_type], [user, 'tracker', 'workout'])

    const headers = { authorization: `Bearer ${service.token(user)}` }
    const { sessions: [mine] } = await (await fetch(`${service.url}/api/v1/sessions?limit=1`, { headers })).json() as { sessions: Array<{ id: string }> }
    assert.ok(seen.every(({ sid }) => sid === mine!.id))
    const { events } = await (await fetch(`${service.url}/api/v1/sessions/${mine!.id}`, { headers })).json() as { events: Array<{ type: string, actor: string, data: Record<string, unknown> }> }
    assert.deepEqual(events.filter(({ type }) => type === 'token.issued').map(({ actor, data }) => [actor, data.audience]), [['service', 'tracker']])
    await service.end(user, session.roomName)
    await caller.leave()
  }
  assert.equal(mcp.calls.length, 2)
  assert.equal(tokens.size, 2)
  for (const token of tokens) {
    const [, , signature = ''] = token.split('.')
    for (const [whose, text] of [['model', model.requests.map(({ raw }) => raw).join()], ['worker', worker.output()], ['service', service.log()]] as const) assert.ok(!text.includes(signature), `the ${whose} has seen a token`)
  }
})

test('a token is kept until shortly before its end, and one request is enough for it, whatever the clocks say', async (t) => {
  const answers = [{ status: 200, seconds: 1 }, { status: 503, seconds: 0 }, { status: 200, seconds: 300 }]
  const audiences: string[] = []
  const server = createServer(async (request, response) => {
    const [body] = await request.toArray()
    audiences.push(JSON.parse(String(body)).audience)
    const { status, seconds } = answers[audiences.length - 1] ?? { status: 500, seconds: 0 }
    response.writeHead(status).end(JSON.stringify({ token: `token ${audiences.length}`, expires_at: new Date(Date.now() + seconds * 1000).toISOString() }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const tokens = createUserTokens({ url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), token: 'of the session' })

  // Of a service whose clock is five minutes behind, or whose time this machine cannot read.
  assert.deepEqual(await Promise.all([tokens('tracker'), tokens('tracker')]), ['token 1', 'token 1'])
  await assert.rejects(tokens('tracker'), { message: 'no token for a tool server', status: 503 })
  assert.deepEqual([await tokens('tracker'), await tokens('tracker')], ['token 3', 'token 3'])
  assert.deepEqual(audiences, ['tracker', 'tracker', 'tracker'])
})
