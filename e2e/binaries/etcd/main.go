// Command etcd is etcd's server. Its own main package can't be built from another
// module, because its go.mod replaces its siblings by local paths.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
