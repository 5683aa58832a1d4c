package address

// Mode is how the servers are set up that addresses lead to. Triggers (redisMode), the connections
// of the scaler, and those of workers and publishers (REDIS_MODE) have the same; by default it is
// Standalone.
type Mode string

// The modes. Names are those of the API (spec.redis.mode).
const (
	Standalone Mode = "Standalone" // one server, or a Service that leads to the master
	Sentinel   Mode = "Sentinel"   // the addresses are the sentinels', which name the master
	Cluster    Mode = "Cluster"    // the addresses are those of some of the cluster's nodes
)
