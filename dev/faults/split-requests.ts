// Cuts what a client sends into whole HTTP/1.1 requests, so that a proxy can treat each request of a kept-alive connection by itself.

/**
 * Returns a function that takes the next bytes of one connection and gives the requests that they complete, each in one piece.
 * What is not HTTP (PostgreSQL, TLS), and what follows an upgrade (WebSocket), is given on as it comes.
 */
export function createSplitter (): (chunk: Buffer) => Buffer[] {
  let rest = Buffer.alloc(0)
  let raw = false
  return (chunk) => {
    if (raw) return [chunk]
    rest = Buffer.concat([rest, chunk])
    const requests: Buffer[] = []
    while (rest.length && !raw) {
      const { length, last } = measure(rest)
      if (length === undefined) return requests // to be continued
      requests.push(rest.subarray(0, length))
      rest = rest.subarray(length)
      raw = last
    }
    if (rest.length) requests.push(rest)
    rest = Buffer.alloc(0)
    return requests
  }
}

function measure (bytes: Buffer): { length: number | undefined, last: boolean } {
  if (!/^[A-Z]{1,8}( |$)/.test(bytes.toString('latin1', 0, 9))) return { length: bytes.length, last: true }
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return { length: undefined, last: false }
  const body = end + 4
  const head = bytes.toString('latin1', 0, end)
  if (/^upgrade:/im.test(head)) return { length: body, last: true }
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const tail = bytes.indexOf('0\r\n\r\n', body)
    return { length: tail < 0 ? undefined : tail + 5, last: false }
  }
  const length = body + Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
  return { length: bytes.length < length ? undefined : length, last: false }
}
