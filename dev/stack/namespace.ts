// A network of its own on this machine (Linux, root): whoever runs in it reaches this machine over one cable, by the ways that are let through.
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = async (program: string, ...args: string[]) => (await promisify(execFile)(program, args)).stdout

/** Packets that are let out: their protocol and ports (`7882:7885`). */
export interface Way { protocol: 'tcp' | 'udp', ports: string }

export type Namespace = Awaited<ReturnType<typeof createNamespace>>

/**
 * @param name of it, and with 0 and 1 behind it the names of its cable's two ends: 13 characters at most
 * @param hosts names for which this machine stands in it
 * @throws where `ip` or `iptables` are not there, or not allowed
 */
export async function createNamespace (name: string, hosts: string[]) {
  // Of those that documents may use (RFC 5737), and for LiveKit as public as any: its TURN server relays to no private address.
  const [here, inside] = ['203.0.113.1', '203.0.113.2']
  /** Rules for what comes out of it stand on this side of the cable, as those of a firewall do: its own would tell the sender. */
  const gate = (...args: string[]) => run('iptables', '--wait', '--table', 'raw', ...args)
  const within = (...args: string[]) => run('ip', 'netns', 'exec', name, 'iptables', '--wait', ...args)
  const rules: { ways: Way[], loss: number } = { ways: [], loss: 0 }
  const byChance = () => ['--match', 'statistic', '--mode', 'random', '--probability', String(rules.loss), '--jump', 'DROP']
  const set = async () => {
    await gate('--flush', name)
    if (rules.loss > 0) await gate('--append', name, ...byChance())
    for (const { protocol, ports } of rules.ways) await gate('--append', name, '--protocol', protocol, '--dport', ports, '--jump', 'ACCEPT')
    await gate('--append', name, '--jump', 'DROP')
    await within('--table', 'raw', '--flush', 'PREROUTING')
    if (rules.loss > 0) await within('--table', 'raw', '--append', 'PREROUTING', '--in-interface', `${name}1`, ...byChance())
  }
  const remove = async () => {
    await gate('--delete', 'PREROUTING', '--in-interface', `${name}0`, '--jump', name).catch(() => {})
    await gate('--flush', name).catch(() => {})
    await gate('--delete-chain', name).catch(() => {})
    await run('ip', 'netns', 'delete', name).catch(() => {})
    await run('ip', 'link', 'delete', `${name}0`).catch(() => {})
    await rm(`/etc/netns/${name}`, { recursive: true, force: true })
  }
  await remove()
  await mkdir(`/etc/netns/${name}`, { recursive: true }) // what is in it takes the place of /etc for `ip netns exec`
  await writeFile(`/etc/netns/${name}/hosts`, ['127.0.0.1 localhost', `${here} ${hosts.join(' ')}`, ''].join('\n'))
  await writeFile(`/etc/netns/${name}/resolv.conf`, 'nameserver 127.0.0.1\n') // nobody is there: other names are refused at once, not waited for
  await run('ip', 'netns', 'add', name)
  await run('ip', 'link', 'add', `${name}0`, 'type', 'veth', 'peer', 'name', `${name}1`, 'netns', name)
  await run('ip', 'address', 'add', `${here}/30`, 'dev', `${name}0`)
  await run('ip', 'link', 'set', `${name}0`, 'up')
  await run('ip', '-n', name, 'address', 'add', `${inside}/30`, 'dev', `${name}1`)
  for (const device of ['lo', `${name}1`]) await run('ip', '-n', name, 'link', 'set', device, 'up')
  await run('ip', '-n', name, 'route', 'add', 'default', 'via', here)
  await gate('--new-chain', name)
  await gate('--append', 'PREROUTING', '--in-interface', `${name}0`, '--jump', name)

  return {
    /** This machine, as seen from inside. */
    address: here,
    /** What a program inside is started with. */
    command: ['ip', 'netns', 'exec', name],
    /** Lets these out and nothing else: what is not let out is lost without a word. */
    async allow (ways: Way[]) {
      rules.ways = ways
      await set()
    },
    /** Bytes that came out by each of the ways since they were set, in their order. */
    sent: async () => (await gate('--list', name, '--verbose', '--exact', '--numeric')).split('\n').filter((line) => /dpts?:/.test(line)).map((line) => Number(line.trim().split(/\s+/)[1])),
    /** Packets of every kind are lost by chance from now on, this share of them in each direction. */
    async lose (share: number) {
      rules.loss = share
      await set()
    },
    /** UDP to a port of this machine goes to another port of it. */
    async redirect (from: number, to: number) {
      await within('--table', 'nat', '--append', 'OUTPUT', '--protocol', 'udp', '--destination', here, '--dport', String(from), '--jump', 'DNAT', '--to-destination', `${here}:${to}`)
    },
    remove
  }
}
