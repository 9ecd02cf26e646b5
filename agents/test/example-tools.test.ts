// The example tool server, by the agent's own client and with the compose file's own configuration.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFile } from 'node:fs/promises'
import { startExampleTools } from '../src/example-tools.ts'
import { createLogger } from '../src/log.ts'
import { createMcpClient, type McpTool } from '../src/mcp/client.ts'
import { allowedTools, readMcpConfig } from '../src/mcp/config.ts'

test('offers what deploy/tools.json allows, and answers', async (t) => {
  const tools = await startExampleTools({ host: '127.0.0.1', port: 0 })
  t.after(() => tools.close())
  const config = (await readFile(new URL('../../deploy/tools.json', import.meta.url), 'utf8')).replace('tools:8090', `127.0.0.1:${tools.port}`)
  const [server] = readMcpConfig(config, {})
  const offered: McpTool[][] = []
  const client = createMcpClient({ server: server!, allowed: allowedTools(server!, 'general'), log: createLogger('silent', {}), onTools: (all) => offered.push(all), onOutcome: () => {} })
  t.after(() => client.close())
  await client.start()

  assert.deepEqual(offered.at(-1)?.map(({ name }) => name), ['date_and_time', 'body_mass_index'])
  assert.equal(await client.call('body_mass_index', { height_cm: 180, weight_kg: 75 }), 'The body mass index is 23.1.')
  assert.match(await client.call('date_and_time', { time_zone: 'Europe/Paris' }), /\b20\d\d at \d\d:\d\d$/)
  await assert.rejects(client.call('date_and_time', { time_zone: 'Europe/Nowhere' }), /There is no such time zone/)
})

test('refuses what is no call of a tool', async (t) => {
  const tools = await startExampleTools({ host: '127.0.0.1', port: 0 })
  t.after(() => tools.close())
  const ask = async (path: string, init: RequestInit = {}) => (await fetch(`http://127.0.0.1:${tools.port}${path}`, init)).status
  assert.deepEqual([
    await ask('/health'),
    await ask('/elsewhere'),
    await ask('/mcp'),
    await ask('/mcp', { method: 'POST', body: '{' }),
    await ask('/mcp', { method: 'POST', body: 'x'.repeat(70_000) })
  ], [200, 404, 405, 400, 413])
})
