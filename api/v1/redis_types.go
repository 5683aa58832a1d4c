package v1

// RedisMode is how the servers are set up.
// +kubebuilder:validation:Enum=Standalone;Sentinel;Cluster
type RedisMode string

// The modes.
const (
	// RedisModeStandalone is one server, or a Service that leads to the master.
	RedisModeStandalone RedisMode = "Standalone"
	// RedisModeSentinel is a master that sentinels name; redisAddress is the sentinels' address.
	RedisModeSentinel RedisMode = "Sentinel"
	// RedisModeCluster is Redis Cluster, or DragonFly in cluster mode; redisAddress names some
	// of its nodes.
	RedisModeCluster RedisMode = "Cluster"
)

// RedisSpec says how to connect to the server.
// +kubebuilder:validation:XValidation:rule="has(self.mode) && self.mode == 'Sentinel' ? has(self.sentinelMaster) : !has(self.sentinelMaster)",fieldPath=".sentinelMaster",message="sentinelMaster belongs to mode Sentinel, which needs it: set both or neither"
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || self.mode != 'Cluster' || !has(self.database) || self.database == 0",fieldPath=".database",message="a cluster has database 0 only: leave database out"
// +kubebuilder:validation:XValidation:rule="(!has(self.sentinelUsernameSecret) && !has(self.sentinelPasswordSecret)) || (has(self.mode) && self.mode == 'Sentinel')",fieldPath=".sentinelPasswordSecret",message="sentinelUsernameSecret and sentinelPasswordSecret belong to mode Sentinel: leave them out"
// +kubebuilder:validation:XValidation:rule="!has(self.sentinelTLS) || (has(self.mode) && self.mode == 'Sentinel')",fieldPath=".sentinelTLS",message="sentinelTLS belongs to mode Sentinel: leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !has(self.tls.enabled) || self.tls.enabled || (has(self.sentinelTLS) && self.sentinelTLS)",fieldPath=".tls",message="tls.enabled is false, so no connection would use TLS: leave tls out, or set sentinelTLS to true"
// +kubebuilder:validation:XValidation:rule="!has(self.usernameSecret) || has(self.passwordSecret)",fieldPath=".passwordSecret",message="usernameSecret is set, but passwordSecret is not: an ACL user needs both"
// +kubebuilder:validation:XValidation:rule="!has(self.sentinelUsernameSecret) || has(self.sentinelPasswordSecret)",fieldPath=".sentinelPasswordSecret",message="sentinelUsernameSecret is set, but sentinelPasswordSecret is not: an ACL user needs both"
type RedisSpec struct {
	// mode is how the servers are set up. Workers get it as REDIS_MODE.
	//
	// Example: mode: Cluster
	// +optional
	// +kubebuilder:default=Standalone
	Mode RedisMode `json:"mode,omitempty"`

	// sentinelMaster is the name under which the sentinels know the master. Workers get it
	// as REDIS_SENTINEL_MASTER.
	//
	// Example: sentinelMaster: mymaster
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	SentinelMaster string `json:"sentinelMaster,omitempty"`

	// database is the number of the logical database (SELECT). Workers get it as
	// REDIS_DATABASE.
	//
	// Example: database: 2
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Database int32 `json:"database,omitempty"`

	// usernameSecret holds the ACL user's name; key defaults to username. Workers get it
	// as REDIS_USERNAME.
	//
	// Example: usernameSecret: {name: redis-auth}
	// +optional
	UsernameSecret *SecretKey `json:"usernameSecret,omitempty"`

	// passwordSecret holds the password; key defaults to password. Workers get it as
	// REDIS_PASSWORD. After a change of the Secret, the scaler uses the new password within a
	// minute; workers use it after a restart.
	//
	// Example: passwordSecret: {name: redis-auth, key: redis-password}
	// +optional
	PasswordSecret *SecretKey `json:"passwordSecret,omitempty"`

	// sentinelUsernameSecret holds the name of the sentinels' ACL user; key defaults to
	// username. Workers get it as REDIS_SENTINEL_USERNAME.
	//
	// Example: sentinelUsernameSecret: {name: sentinel-auth}
	// +optional
	SentinelUsernameSecret *SecretKey `json:"sentinelUsernameSecret,omitempty"`

	// sentinelPasswordSecret holds the sentinels' password; key defaults to password.
	// Workers get it as REDIS_SENTINEL_PASSWORD.
	//
	// Example: sentinelPasswordSecret: {name: sentinel-auth}
	// +optional
	SentinelPasswordSecret *SecretKey `json:"sentinelPasswordSecret,omitempty"`

	// tls switches TLS on if it is set. "tls: {}" trusts the certificate authorities of the
	// system.
	//
	// Example: tls: {caSecret: {name: redis-ca}}
	// +optional
	TLS *RedisTLS `json:"tls,omitempty"`

	// sentinelTLS is whether the sentinels are spoken to by TLS, if that differs from the servers that they name. It
	// defaults to true if tls is set and not switched off. Workers get it as REDIS_SENTINEL_TLS.
	//
	// Example: sentinelTLS: false
	// +optional
	SentinelTLS *bool `json:"sentinelTLS,omitempty"`
}

// RedisTLS says which certificates to trust, and which client certificate to use.
type RedisTLS struct {
	// enabled is whether the servers are spoken to by TLS; it defaults to true. Set it to false if only the sentinels
	// are (sentinelTLS: true).
	//
	// Example: enabled: false
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// caSecret holds the certificates of the authorities to trust, in PEM; key defaults to
	// ca.crt. If unset, those of the system are trusted. Workers get the file as
	// REDIS_TLS_CA_FILE.
	//
	// Example: caSecret: {name: redis-ca, key: ca.crt}
	// +optional
	CASecret *SecretKey `json:"caSecret,omitempty"`

	// clientCertificateSecret is a Secret of type kubernetes.io/tls (tls.crt and tls.key)
	// for servers that ask for a client's certificate. Workers get the files as
	// REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE.
	//
	// Example: clientCertificateSecret: {name: redis-client}
	// +optional
	ClientCertificateSecret *SecretName `json:"clientCertificateSecret,omitempty"`

	// serverName is the name that the server's certificate must have. It defaults to the host
	// of the address. Workers get it as REDIS_TLS_SERVER_NAME.
	//
	// Example: serverName: redis.example.com
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// SecretKey is a key of a Secret in the channel's namespace.
type SecretKey struct {
	// name is the Secret's name.
	//
	// Example: name: redis-auth
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key is the key within the Secret.
	//
	// Example: key: redis-password
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// SecretName is a Secret in the channel's namespace.
type SecretName struct {
	// name is the Secret's name.
	//
	// Example: name: redis-auth
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
