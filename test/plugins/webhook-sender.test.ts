// Where outgoing webhooks may not go, and how long they may take.
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { startReceiver } from '../../dev/webhooks/receiver.ts'
import { isPublic, lookupPublic } from '../../plugins/webhooks/addresses.ts'
import { createSender } from '../../plugins/webhooks/sender.ts'

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const message = { id: 'evt_1', body: '{"type":"session.started"}' }
const never = new AbortController().signal

t.test('only addresses of the internet are public', async (t) => {
  for (const address of ['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946']) t.ok(isPublic(address), address)
  for (const address of [
    '127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '198.18.0.1',
    '::1', '::', 'fe80::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', 'localhost', ''
  ]) t.notOk(isPublic(address), address)
})

/** Answers each question for an A record with what `addresses` gives next, and with nothing for AAAA. */
async function startDns (addresses: () => string) {
  const server = createSocket('udp4')
  server.on('message', (question, from) => {
    const end = question.indexOf(0, 12) + 5
    const isA = question.readUInt16BE(end - 4) === 1
    const head = Buffer.from([question[0]!, question[1]!, 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0])
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...(isA ? addresses().split('.').map(Number) : [])])
    server.send(Buffer.concat([head, question.subarray(12, end), ...(isA ? [record] : [])]), from.port, from.address)
  })
  await new Promise<void>((resolve) => { server.bind(0, '127.0.0.1', resolve) })
  const resolver = new Resolver()
  resolver.setServers([`127.0.0.1:${server.address().port}`])
  return { resolver, stop: () => server.close() }
}

t.test('a name that leads to this machine is not followed, also when it led elsewhere a moment ago', async (t) => {
  const receiver = await startReceiver({ secret })
  const answers = ['93.184.216.34', '127.0.0.1']
  const dns = await startDns(() => answers.shift() ?? '127.0.0.1')
  t.teardown(dns.stop)
  t.teardown(() => receiver.stop())
  const looked = await new Promise((resolve) => { lookupPublic(dns.resolver)('app.test', { all: true }, (error, addresses) => resolve(error ?? addresses)) })
  t.same(looked, [{ address: '93.184.216.34', family: 4 }])

  const sender = createSender({ allowPrivate: false, resolver: dns.resolver })
  t.teardown(() => sender.close())
  await t.rejects(sender.send({ url: `https://app.test:${receiver.port}/`, secrets: [secret] }, message, never), { code: 'ADDRESS_NOT_ALLOWED' })
  t.equal(answers.length, 0, 'it was looked up for this connection')
  await t.rejects(sender.send({ url: 'https://127.0.0.1/', secrets: [secret] }, message, never), { code: 'ADDRESS_NOT_ALLOWED' })
  t.same(receiver.received, [])
})

t.test('an endpoint that does not answer is given up, whatever it does instead', async (t) => {
  const sender = createSender({ allowPrivate: true, limit: 200 })
  t.teardown(() => sender.close())
  const hanging = await startReceiver({ secret, answer: () => 'hang' })
  t.teardown(() => hanging.stop())
  await t.rejects(sender.send({ url: hanging.url, secrets: [secret] }, message, never), { code: 'TIMED_OUT' })
  t.equal(hanging.received.length, 1)

  // The head of an answer one byte at a time, for ever.
  const slow = createServer((socket) => {
    socket.on('error', () => {})
    const timer = setInterval(() => socket.write('H'), 50)
    socket.on('close', () => clearInterval(timer))
  })
  await new Promise<void>((resolve) => { slow.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => slow.close())
  await t.rejects(sender.send({ url: `http://127.0.0.1:${(slow.address() as AddressInfo).port}/`, secrets: [secret] }, message, never), Error)

  await hanging.stop()
  await t.rejects(sender.send({ url: hanging.url, secrets: [secret] }, message, never), { code: 'ECONNREFUSED' })
})

t.test('an answer without an end counts by its status', async (t) => {
  const sender = createSender({ allowPrivate: true, limit: 500 })
  t.teardown(() => sender.close())
  const endless = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const pour = () => { while (!socket.destroyed && socket.write(`1000\r\n${'x'.repeat(0x1000)}\r\n`)); }
      socket.on('drain', pour)
      pour()
    })
  })
  await new Promise<void>((resolve) => { endless.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => endless.close())
  t.equal(await sender.send({ url: `http://127.0.0.1:${(endless.address() as AddressInfo).port}/`, secrets: [secret] }, message, never), 200)
})
