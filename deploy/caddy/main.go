// Caddy with the one module it lacks for this deployment: layer 4, which tells TURN over TLS from HTTPS by the name that is asked for.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/mholt/caddy-l4"
)

func main() {
	caddycmd.Main()
}
