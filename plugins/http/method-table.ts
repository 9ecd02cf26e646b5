// Which methods a path has, so that a wrong one is answered 405 and not 404.

/**
 * Gathers routes as an onRoute hook does; asked only when nothing matched, so plain loops do.
 * `allowed(url)` gives the methods of all routes that the path fits, sorted; HEAD goes where GET does.
 */
export function createMethodTable () {
  const routes: Array<{ pattern: string[], methods: string[] }> = []
  return {
    add ({ url, method }: { url: string, method: string | string[] }): void {
      // The catch-all that CORS registers for preflights is not a resource.
      if (url !== '*' && url !== '/*') routes.push({ pattern: url.split('/'), methods: [method].flat() })
    },
    allowed (url: string): string[] {
      const path = decodeURI(url.split('?', 1)[0]!).split('/')
      const methods = new Set(routes.filter(({ pattern }) => fits(pattern, path)).flatMap((route) => route.methods))
      if (methods.has('GET')) methods.add('HEAD')
      return [...methods].sort()
    }
  }
}

function fits (pattern: string[], path: string[]): boolean {
  const open = pattern.at(-1) === '*'
  if (open ? path.length < pattern.length : path.length !== pattern.length) return false
  return pattern.every((part, at) => part === '*' || part === path[at] || (part.startsWith(':') && path[at] !== ''))
}
