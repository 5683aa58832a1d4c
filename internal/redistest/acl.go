package redistest

import "strings"

// The users of a server that was started with ACLArgs; the default user is off there.
const (
	AdminUser      = "admin" // may do all; the test's own clients, replicas and sentinels
	AdminPassword  = "admin-secret"
	ReaderUser     = "reader" // may do what ReadOnlyRule says
	ReaderPassword = "reader-secret"
)

// ReadOnlyRule is what a user needs who reads the depth of queues of any kind on Redis 7,
// in any topology: a user is made of it by
// ACL SETUSER <name> on ><password> <rule>. A test holds it against the commands that a
// server sees: none is missing, and none is needless.
const ReadOnlyRule = "%R~* +ping +select +role +type +exists +get" +
	" +llen +lindex +zcard +zcount +zrange +smembers +hlen +hget +hmget +hstrlen +hexists +xlen +xinfo|stream +xinfo|groups +xpending +xrange" +
	" +pubsub|numsub +client|list +cluster|slots +asking"

// DragonflyReadOnlyRule is the same for DragonFly, whose rules know no subcommands. It
// wants INFO for the backlog of subscribers, and no CLIENT LIST.
const DragonflyReadOnlyRule = "%R~* +ping +hello +auth +select +role +type +exists +get" +
	" +llen +lindex +zcard +zcount +zrange +smembers +hlen +hget +hmget +hstrlen +hexists +xlen +xinfo +xpending +xrange" +
	" +pubsub +client +info +cluster"

// SentinelReadOnlyRule is what the same user needs on a sentinel, to find the master and
// the other sentinels.
const SentinelReadOnlyRule = "+sentinel|get-master-addr-by-name +sentinel|sentinels"

// ACLArgs are the arguments of a server that knows AdminUser and ReaderUser, and nobody
// else: a connection that does not authenticate gets NOAUTH. They are good for all
// starters of this package.
func ACLArgs() []string {
	args := []string{
		"--user", "default", "off",
		"--user", AdminUser, "on", ">" + AdminPassword, "~*", "&*", "+@all",
		"--user", ReaderUser, "on", ">" + ReaderPassword,
	}
	args = append(args, strings.Fields(ReadOnlyRule)...)
	return append(args, "--masteruser", AdminUser, "--masterauth", AdminPassword)
}
