//go:build integration

package translator

import (
	"fmt"
	"strings"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// in builds a part of the spec from fields and values in turn.
func in(part string, fields ...any) func(*string, map[string]any, map[string]any) {
	return func(_ *string, spec, _ map[string]any) {
		values := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			values[fields[i].(string)] = fields[i+1]
		}
		spec[part] = values
	}
}

// both makes two changes.
func both(a, b func(*string, map[string]any, map[string]any)) func(*string, map[string]any, map[string]any) {
	return func(name *string, spec, auto map[string]any) { a(name, spec, auto); b(name, spec, auto) }
}

func keys(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = fmt.Sprint("q", i)
	}
	return list
}

func numbers(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = int64(i)
	}
	return list
}

var (
	mine     = inSpec("image", "mine:1")
	secret   = map[string]any{"name": "auth"}
	sentinel = []any{"mode", "Sentinel", "sentinelMaster", "mymaster"}
)

// presetRules are the CRD's about each preset, by the table of frameworks.
func presetRules() map[string]rule {
	all := map[string]rule{}
	for _, f := range framework.All() {
		of := func(fields ...any) func(*string, map[string]any, map[string]any) {
			return both(mine, in("queue", append([]any{"preset", f.Name}, fields...)...))
		}
		refused := func(is bool, words string) string { return map[bool]string{true: words}[is] }
		all["preset "+f.Name] = rule{of(), ""}
		all["keyPrefix of "+f.Name] = rule{of("keyPrefix", "shop"), refused(f.Prefix == nil, "keyPrefix belongs to the presets")}
		all["maxAge of "+f.Name] = rule{of("maxAge", "1m"), refused(!f.HasAges(), "nothing records when a message of")}
		all["prioritySteps of "+f.Name] = rule{of("prioritySteps", []any{int64(0), int64(5)}, "prioritySeparator", ":"), refused(f.Priorities == nil, "prioritySteps and prioritySeparator belong to the preset")}
		all["inFlight of "+f.Name] = rule{of("inFlight", "Queue"), refused(!f.SharesInFlight(), "inFlight belongs to the preset Celery")}
		all["scheduled of "+f.Name] = rule{of("scheduled", "Ignore"), refused(!f.HasScheduler(), "scheduled belongs to the preset RQ")}
		all["Utilization of "+f.Name] = rule{both(of(), inAutoScaling("policy", "Utilization")), refused(!f.ShowsWork(), neverShown)}
		all[f.Name+" on a cluster"] = rule{both(of(), in("redis", "mode", "Cluster")), refused(f.Cluster == framework.SeveralNodes, "no cluster for")}
	}
	return all
}

// queueRules are the CRD's about spec.queue and spec.redis.
var queueRules = map[string]rule{
	"every kind of queue: SortedSet":       {both(mine, in("queue", "type", "SortedSet", "score", "UnixSeconds")), ""},
	"every kind of queue: PubSub":          {in("queue", "type", "PubSub"), ""},
	"score of Auto":                        {in("queue", "score", "UnixMilliseconds"), ""},
	"score of a stream":                    {in("queue", "type", "Stream", "score", "UnixSeconds"), "score belongs to a sorted set"},
	"score Any of a list":                  {in("queue", "type", "List", "score", "Any"), ""},
	"score of none":                        {in("queue", "score", "Hours"), "Unsupported value"},
	"keys":                                 {in("queue", "keys", keys(32)), ""},
	"too many keys":                        {in("queue", "keys", keys(33)), "Too many"},
	"no keys":                              {in("queue", "keys", []any{}), "spec.queue.keys"},
	"an empty key":                         {in("queue", "keys", []any{""}), "spec.queue.keys[0]"},
	"a long key":                           {in("queue", "keys", []any{strings.Repeat("k", 513)}), "spec.queue.keys[0]"},
	"a key twice":                          {in("queue", "keys", []any{"a", "a"}), "Duplicate value"},
	"preset":                               {both(mine, in("queue", "preset", "Sidekiq", "keyPrefix", "shop")), ""},
	"preset of none":                       {both(mine, in("queue", "preset", "Resque")), "Unsupported value"},
	"preset with a type":                   {both(mine, in("queue", "preset", "RQ", "type", "List")), "preset says what the keys hold"},
	"preset with a group":                  {both(mine, in("queue", "preset", "RQ", "consumerGroup", "g")), "consumerGroup belongs to a stream"},
	"preset with a score":                  {both(mine, in("queue", "preset", "RQ", "score", "UnixSeconds")), "score belongs to a sorted set"},
	"preset with the default image":        {in("queue", "preset", "Asynq"), "the image jawaracloud/subscriber can't work on a preset's queues"},
	"preset with a version of our image":   {both(inSpec("image", "registry:5000/jawaracloud/subscriber:0.1.0"), in("queue", "preset", "Asynq")), "jawaracloud/subscriber can't work on a preset's queues"},
	"preset with an image like ours":       {both(inSpec("image", "notjawaracloud/subscriber:0.1.0"), in("queue", "preset", "Asynq")), ""},
	"sorted set with the default image":    {in("queue", "type", "SortedSet"), "the image jawaracloud/subscriber can't work on a preset's queues or on sorted sets"},
	"keyPrefix alone":                      {in("queue", "keyPrefix", "x"), "keyPrefix belongs to the presets"},
	"long keyPrefix":                       {both(mine, in("queue", "preset", "BullMQ", "keyPrefix", strings.Repeat("x", 129))), "spec.queue.keyPrefix"},
	"empty keyPrefix":                      {both(mine, in("queue", "preset", "BullMQ", "keyPrefix", "")), "spec.queue.keyPrefix"},
	"inFlight by default, alone":           {in("queue", "inFlight", "Database"), ""},
	"inFlight alone":                       {in("queue", "inFlight", "None"), "inFlight belongs to the preset Celery"},
	"inFlight of none":                     {both(mine, in("queue", "preset", "Celery", "inFlight", "Mine")), "Unsupported value"},
	"scheduled by default, alone":          {in("queue", "scheduled", "Count"), ""},
	"scheduled alone":                      {in("queue", "scheduled", "Ignore"), "scheduled belongs to the preset RQ"},
	"scheduled of none":                    {both(mine, in("queue", "preset", "RQ", "scheduled", "Never")), "Unsupported value"},
	"prioritySteps alone":                  {in("queue", "prioritySteps", []any{int64(0)}), "belong to the preset Celery"},
	"prioritySeparator alone":              {in("queue", "prioritySeparator", ":"), "belong to the preset Celery"},
	"no prioritySteps":                     {both(mine, in("queue", "preset", "Celery", "prioritySteps", []any{})), "spec.queue.prioritySteps"},
	"too many prioritySteps":               {both(mine, in("queue", "preset", "Celery", "prioritySteps", numbers(33))), "Too many"},
	"the most prioritySteps":               {both(mine, in("queue", "preset", "Celery", "prioritySteps", numbers(32))), ""},
	"a negative prioritySteps":             {both(mine, in("queue", "preset", "Celery", "prioritySteps", []any{int64(-1)})), "spec.queue.prioritySteps[0]"},
	"too high prioritySteps":               {both(mine, in("queue", "preset", "Celery", "prioritySteps", []any{int64(256)})), "spec.queue.prioritySteps[0]"},
	"prioritySteps twice":                  {both(mine, in("queue", "preset", "Celery", "prioritySteps", []any{int64(1), int64(1)})), "Duplicate value"},
	"prioritySteps in falling order":       {both(mine, in("queue", "preset", "Celery", "prioritySteps", []any{int64(9), int64(3)})), "prioritySteps must be in rising order"},
	"empty prioritySeparator":              {both(mine, in("queue", "preset", "Celery", "prioritySeparator", "")), "spec.queue.prioritySeparator"},
	"long prioritySeparator":               {both(mine, in("queue", "preset", "Celery", "prioritySeparator", strings.Repeat("s", 33))), "spec.queue.prioritySeparator"},
	"consumerGroup of a sorted set":        {both(mine, in("queue", "type", "SortedSet", "consumerGroup", "g")), "consumerGroup belongs to a stream"},
	"empty consumerGroup":                  {in("queue", "consumerGroup", ""), "spec.queue.consumerGroup"},
	"long consumerGroup":                   {in("queue", "consumerGroup", strings.Repeat("g", 513)), "spec.queue.consumerGroup"},
	"maxAge":                               {in("queue", "maxAge", "1m30s"), ""},
	"maxAge in hours, with a fraction":     {in("queue", "type", "Stream", "maxAge", "1.5h"), ""},
	"maxAge without a unit":                {in("queue", "maxAge", "90"), "maxAge must be a duration from 1s to 720h"},
	"maxAge of days":                       {in("queue", "maxAge", "2d"), "maxAge must be a duration from 1s to 720h"},
	"maxAge too short":                     {in("queue", "maxAge", "999ms"), "maxAge must be a duration from 1s to 720h"},
	"maxAge too long":                      {in("queue", "maxAge", "721h"), "maxAge must be a duration from 1s to 720h"},
	"negative maxAge":                      {in("queue", "maxAge", "-5s"), "maxAge must be a duration from 1s to 720h"},
	"maxAge as a number":                   {in("queue", "maxAge", int64(90)), "spec.queue.maxAge"},
	"maxAge, very long text":               {in("queue", "maxAge", strings.Repeat("1s", 17)), "spec.queue.maxAge"},
	"maxAge of a list":                     {in("queue", "type", "List", "maxAge", "1m"), "nothing records when a message of a List"},
	"maxAge of PubSub":                     {in("queue", "type", "PubSub", "maxAge", "1m"), "nothing records when a message"},
	"maxAge of a sorted set without times": {both(mine, in("queue", "type", "SortedSet", "maxAge", "1m")), "set score to UnixSeconds or UnixMilliseconds"},
	"maxAge of a sorted set with times":    {both(mine, in("queue", "type", "SortedSet", "maxAge", "1m", "score", "UnixSeconds")), ""},
	"PubSub to zero":                       {both(in("queue", "type", "PubSub"), inAutoScaling("minReplicas", int64(0))), "minReplicas must be at least 1 for a queue of type PubSub"},
	"PubSub to zero, not autoscaled": {both(in("queue", "type", "PubSub"), func(_ *string, _, auto map[string]any) {
		auto["minReplicas"], auto["enabled"] = int64(0), false
	}), ""},

	"mode of none":                          {in("redis", "mode", "Replicated"), "Unsupported value"},
	"sentinels":                             {both(inSpec("redisAddress", "a:26379, b:26379,[::1]:3"), in("redis", append(sentinel, "sentinelPasswordSecret", secret)...)), ""},
	"sentinels without a master":            {in("redis", "mode", "Sentinel"), "sentinelMaster belongs to mode Sentinel"},
	"a master without sentinels":            {in("redis", "sentinelMaster", "mymaster"), "sentinelMaster belongs to mode Sentinel"},
	"empty sentinelMaster":                  {in("redis", "mode", "Sentinel", "sentinelMaster", ""), "spec.redis.sentinelMaster"},
	"long sentinelMaster":                   {in("redis", "mode", "Sentinel", "sentinelMaster", strings.Repeat("m", 257)), "spec.redis.sentinelMaster"},
	"sentinels' password without sentinels": {in("redis", "sentinelPasswordSecret", secret), "belong to mode Sentinel"},
	"sentinels' user without a password":    {in("redis", append(sentinel, "sentinelUsernameSecret", secret)...), "sentinelUsernameSecret is set, but sentinelPasswordSecret is not"},
	"user without a password":               {in("redis", "usernameSecret", secret), "usernameSecret is set, but passwordSecret is not"},
	"user and password":                     {in("redis", "usernameSecret", secret, "passwordSecret", secret), ""},
	"a Secret without a name":               {in("redis", "passwordSecret", map[string]any{"key": "k"}), "spec.redis.passwordSecret.name"},
	"a Secret with an empty name":           {in("redis", "passwordSecret", map[string]any{"name": ""}), "spec.redis.passwordSecret.name"},
	"a Secret with a long name":             {in("redis", "passwordSecret", map[string]any{"name": strings.Repeat("n", 254)}), "spec.redis.passwordSecret.name"},
	"a Secret with an empty key":            {in("redis", "passwordSecret", map[string]any{"name": "n", "key": ""}), "spec.redis.passwordSecret.key"},
	"a Secret with a long key":              {in("redis", "passwordSecret", map[string]any{"name": "n", "key": strings.Repeat("k", 254)}), "spec.redis.passwordSecret.key"},
	"cluster":                               {both(inSpec("redisAddress", "a:1,b:2"), in("redis", "mode", "Cluster")), ""},
	"cluster with a database":               {in("redis", "mode", "Cluster", "database", int64(1)), "a cluster has database 0 only"},
	"database":                              {in("redis", "database", int64(65535)), ""},
	"negative database":                     {in("redis", "database", int64(-1)), "spec.redis.database"},
	"database too great":                    {in("redis", "database", int64(65536)), "spec.redis.database"},
	"several standalone servers":            {inSpec("redisAddress", "a:1,b:2"), "redisAddress names several servers"},
	"long redisAddress":                     {inSpec("redisAddress", strings.Repeat("a", 2048)+":1"), "Too long"},
	"redisAddress with a user":              {inSpec("redisAddress", "me@a:1"), "redisAddress must be host:port"},
	"redisAddress with an empty place":      {both(inSpec("redisAddress", "a:1,,b:2"), in("redis", "mode", "Cluster")), "redisAddress must be host:port"},
	"tls, with nothing in it":               {in("redis", "tls", map[string]any{}), ""},
	"tls with everything": {in("redis", "tls", map[string]any{
		"caSecret": map[string]any{"name": "ca", "key": "ca.pem"}, "clientCertificateSecret": secret, "serverName": "redis",
	}), ""},
	"sentinelTLS":                       {in("redis", append(sentinel, "sentinelTLS", true)...), ""},
	"sentinelTLS without sentinels":     {in("redis", "sentinelTLS", true), "sentinelTLS belongs to mode Sentinel"},
	"tls of the sentinels alone":        {in("redis", append(sentinel, "sentinelTLS", true, "tls", map[string]any{"enabled": false, "caSecret": secret})...), ""},
	"tls of nobody":                     {in("redis", append(sentinel, "tls", map[string]any{"enabled": false})...), "tls.enabled is false, so no connection would use TLS"},
	"tls of nobody, said twice":         {in("redis", append(sentinel, "sentinelTLS", false, "tls", map[string]any{"enabled": false})...), "tls.enabled is false, so no connection would use TLS"},
	"tls with an empty server name":     {in("redis", "tls", map[string]any{"serverName": ""}), "spec.redis.tls.serverName"},
	"tls with a long server name":       {in("redis", "tls", map[string]any{"serverName": strings.Repeat("s", 254)}), "spec.redis.tls.serverName"},
	"a client certificate without name": {in("redis", "tls", map[string]any{"clientCertificateSecret": map[string]any{}}), "clientCertificateSecret.name"},
	"a client certificate, empty name":  {in("redis", "tls", map[string]any{"clientCertificateSecret": map[string]any{"name": ""}}), "clientCertificateSecret.name"},
	"a client certificate, long name":   {in("redis", "tls", map[string]any{"clientCertificateSecret": map[string]any{"name": strings.Repeat("n", 254)}}), "clientCertificateSecret.name"},
}
