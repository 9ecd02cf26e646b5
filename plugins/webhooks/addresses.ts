// Which addresses outgoing webhooks may go to: public ones, looked up when the connection is made, so that no answer of a DNS server comes in between.
import type { Resolver } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * Whether an address is one of the internet's: not loopback, private, link-local (where clouds keep their metadata), carrier-grade NAT,
 * multicast or reserved; nor one that stands for such an IPv4 address in IPv6 (mapped, 6to4, NAT64, Teredo).
 */
export function isPublic (address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast'
}

/** Why webhooks are not sent to this address, as far as it can be told without asking anybody; undefined when they are. */
export function refusal (address: string, allowPrivate: boolean): string | undefined {
  if (!URL.canParse(address)) return 'must be a URL'
  const { protocol, username, password, hash, hostname } = new URL(address)
  if (protocol !== 'https:' && !(allowPrivate && protocol === 'http:')) return 'must begin with https://'
  if (username || password) return 'must hold no user and no password'
  if (hash) return 'must have no fragment'
  const bare = hostname.replace(/^\[|\]$/g, '')
  if (!allowPrivate && isIP(bare) && !isPublic(bare)) return 'must be a public address'
}

const notAllowed = () => Object.assign(new Error('the name leads to an address that webhooks are not sent to'), { code: 'ADDRESS_NOT_ALLOWED' })

/**
 * Looks a name up for the connection that is about to be made to the answer. A name with one address that is not public has none.
 * A Resolver asks by itself; getaddrinfo would hold one of the process's four threads for each slow DNS server.
 */
export const lookupPublic = (resolver: Pick<Resolver, 'resolve4' | 'resolve6'>): LookupFunction => (hostname, { all, family }, callback) => {
  const asked = [family === 6 ? [] : resolver.resolve4(hostname), family === 4 ? [] : resolver.resolve6(hostname)]
  Promise.allSettled(asked).then((answers) => {
    const addresses = answers.flatMap((answer, n) => answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family: n === 0 ? 4 : 6 })) : [])
    if (addresses.some(({ address }) => !isPublic(address))) callback(notAllowed(), '')
    else if (addresses.length === 0) callback(Object.assign(new Error('the name has no address'), { code: 'ENOTFOUND' }), '')
    else if (all) callback(null, addresses)
    else callback(null, addresses[0]!.address, addresses[0]!.family)
  })
}
