//go:build integration

package translator

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// object is a valid channel in raw form, so that what Go's types could not hold can be
// tried too.
func object(namespace string, mutate func(name *string, spec, auto map[string]any)) *unstructured.Unstructured {
	name, auto := "base", map[string]any{"enabled": true}
	spec := map[string]any{"channelName": "messages", "autoScaling": auto}
	mutate(&name, spec, auto)
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "pubsub.jawaracloud.io/v1", "kind": "PubSubChannel", "spec": spec}}
	u.SetName(name)
	u.SetNamespace(namespace)
	return u
}

// inSpec sets a field of the spec.
func inSpec(key string, value any) func(*string, map[string]any, map[string]any) {
	return func(_ *string, spec, _ map[string]any) { spec[key] = value }
}

// inAutoScaling sets a field of spec.autoScaling.
func inAutoScaling(key string, value any) func(*string, map[string]any, map[string]any) {
	return func(_ *string, _, auto map[string]any) { auto[key] = value }
}

// schedule is a valid one but for a field; nil: without it.
func schedule(key string, value any) map[string]any {
	s := map[string]any{"name": "office", "timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "minReplicas": int64(5)}
	if s[key] = value; value == nil {
		delete(s, key)
	}
	return s
}

// inSchedule sets a field of the only schedule.
func inSchedule(key string, value any) func(*string, map[string]any, map[string]any) {
	return inAutoScaling("schedules", []any{schedule(key, value)})
}

// inTemplateLabels sets a label of spec.template.
func inTemplateLabels(key, value string) func(*string, map[string]any, map[string]any) {
	return inSpec("template", map[string]any{"metadata": map[string]any{"labels": map[string]any{key: value}}})
}

func many(n int, item func(int) any) []any {
	var items []any
	for i := range n {
		items = append(items, item(i))
	}
	return items
}

// rule is a change of the valid base, and the words of the refusal.
type rule struct {
	mutate func(name *string, spec, auto map[string]any)
	want   string // empty: accepted
}

// rules are the CRD's, besides those in other files.
var rules = map[string]rule{
	"base":                         {func(*string, map[string]any, map[string]any) {}, ""},
	"no channelName":               {func(_ *string, spec, _ map[string]any) { delete(spec, "channelName") }, "spec.channelName: Required value"},
	"empty channelName":            {inSpec("channelName", ""), "spec.channelName"},
	"long channelName":             {inSpec("channelName", strings.Repeat("x", 513)), "Too long"},
	"redisAddress with a scheme":   {inSpec("redisAddress", "redis://dragonfly:6379"), "redisAddress must be host:port, without a scheme"},
	"redisAddress without a port":  {inSpec("redisAddress", "dragonfly"), "redisAddress must be host:port"},
	"redisAddress of IPv6":         {inSpec("redisAddress", "[fd00::1]:6379"), ""},
	"replicas below 0":             {inSpec("replicas", int64(-1)), "spec.replicas"},
	"replicas 0":                   {inSpec("replicas", int64(0)), ""},
	"replicas too many":            {inSpec("replicas", int64(1000001)), "spec.replicas"},
	"empty image":                  {inSpec("image", ""), "spec.image"},
	"messageTimeout 0":             {inSpec("messageTimeout", int64(0)), "spec.messageTimeout"},
	"messageTimeout over a day":    {inSpec("messageTimeout", int64(86401)), "spec.messageTimeout"},
	"env twice":                    {inSpec("env", []any{map[string]any{"name": "A"}, map[string]any{"name": "A"}}), "Duplicate value"},
	"min over max":                 {inAutoScaling("minReplicas", int64(11)), "minReplicas must not be greater than maxReplicas (default 10)"},
	"minReplicas below 0":          {inAutoScaling("minReplicas", int64(-1)), "minReplicas"},
	"minReplicas 0":                {inAutoScaling("minReplicas", int64(0)), ""},
	"maxReplicas 0":                {inAutoScaling("maxReplicas", int64(0)), "maxReplicas"},
	"maxReplicas too great":        {inAutoScaling("maxReplicas", int64(1000001)), "maxReplicas"},
	"targetQueueDepth 0":           {inAutoScaling("targetQueueDepth", int64(0)), "targetQueueDepth"},
	"scaleUpThreshold 0":           {inAutoScaling("scaleUpThreshold", int64(0)), "scaleUpThreshold"},
	"scaleUpThreshold 1001":        {inAutoScaling("scaleUpThreshold", int64(1001)), "scaleUpThreshold"},
	"scaleDownThreshold 0":         {inAutoScaling("scaleDownThreshold", int64(0)), "scaleDownThreshold"},
	"scaleDownThreshold 101":       {inAutoScaling("scaleDownThreshold", int64(101)), "scaleDownThreshold"},
	"thresholds that cross":        {inAutoScaling("scaleUpThreshold", int64(50)), "scaleDownThreshold must be less than scaleUpThreshold"},
	"cooldownPeriod below 0":       {inAutoScaling("cooldownPeriod", int64(-1)), "cooldownPeriod"},
	"cooldownPeriod over a day":    {inAutoScaling("cooldownPeriod", int64(86401)), "cooldownPeriod"},
	"cooldownPeriod 0":             {inAutoScaling("cooldownPeriod", int64(0)), ""},
	"activationQueueDepth below 0": {inAutoScaling("activationQueueDepth", int64(-1)), "activationQueueDepth"},
	"maxScaleUpStep 0":             {inAutoScaling("maxScaleUpStep", int64(0)), "maxScaleUpStep must be a number from 1 to 1000000"},
	"maxScaleUpStep too great":     {inAutoScaling("maxScaleUpStep", int64(1000001)), "maxScaleUpStep must be a number from 1 to 1000000"},
	"maxScaleUpStep beyond Go":     {inAutoScaling("maxScaleUpStep", int64(4294967296)), "maxScaleUpStep must be a number from 1 to 1000000"},
	"maxScaleUpStep of words":      {inAutoScaling("maxScaleUpStep", "many"), "maxScaleUpStep must be a number from 1 to 1000000"},
	"maxScaleUpStep 250%":          {inAutoScaling("maxScaleUpStep", "250%"), ""},
	"maxScaleDownStep 0":           {inAutoScaling("maxScaleDownStep", int64(0)), "maxScaleDownStep must be a number from 1 to 1000000"},
	"maxScaleDownStep 101%":        {inAutoScaling("maxScaleDownStep", "101%"), "from 1% to 100%"},
	"maxScaleDownStep 3":           {inAutoScaling("maxScaleDownStep", int64(3)), ""},
	"queue type of none":           {inSpec("queue", map[string]any{"type": "Topic"}), "Unsupported value"},
	"consumerGroup of a list":      {inSpec("queue", map[string]any{"type": "List", "consumerGroup": "g"}), "consumerGroup belongs to a stream"},
	"consumerGroup of Auto":        {inSpec("queue", map[string]any{"consumerGroup": "g"}), ""},
	"schedule":                     {inSchedule("name", "office"), ""},
	"schedule without a name":      {inSchedule("name", nil), "schedules[0].name: Required value"},
	"schedule of a bad name":       {inSchedule("name", "Office hours"), "name must consist of lower case letters"},
	"schedule twice":               {inAutoScaling("schedules", []any{schedule("name", "a"), schedule("name", "a")}), "Duplicate value"},
	"schedules of two names":       {inAutoScaling("schedules", []any{schedule("name", "a"), schedule("name", "b")}), ""},
	"schedule without a timezone":  {inSchedule("timezone", nil), "schedules[0].timezone: Required value"},
	"schedule of an unknown zone":  {inSchedule("timezone", "Europe/Entenhausen"), "Europe/Entenhausen"},
	"schedule of the local zone":   {inSchedule("timezone", "Local"), "timezone must be the IANA name"},
	"schedule of an offset":        {inSchedule("timezone", "+02:00"), "timezone must be the IANA name"},
	"schedule of UTC":              {inSchedule("timezone", "UTC"), ""},
	"schedule of three parts":      {inSchedule("timezone", "America/Argentina/Buenos_Aires"), ""},
	"schedule, start of 4 fields":  {inSchedule("start", "0 8 * *"), "start must be a cron expression of five fields"},
	"schedule, start of a word":    {inSchedule("start", "@daily"), "start must be a cron expression of five fields"},
	"schedule, end of 6 fields":    {inSchedule("end", "0 0 8 * * *"), "end must be a cron expression of five fields"},
	"schedule, end is start":       {inSchedule("end", "0 8 * * 1-5"), "end must not be the same as start"},
	"schedule of no workers":       {inSchedule("minReplicas", int64(0)), "minReplicas"},
	"schedule over maxReplicas":    {inSchedule("minReplicas", int64(11)), "minReplicas of a schedule must not be greater than maxReplicas"},
	"33 schedules":                 {inAutoScaling("schedules", many(33, func(i int) any { return schedule("name", fmt.Sprint("s", i)) })), "must have at most 32 items"},
	"trigger":                      {inAutoScaling("triggers", []any{map[string]any{"type": "cpu", "metricType": "Utilization", "metadata": map[string]any{"value": "60"}}}), ""},
	"trigger without a type":       {inAutoScaling("triggers", []any{map[string]any{"metadata": map[string]any{}}}), "triggers[0].type: Required value"},
	"33 triggers":                  {inAutoScaling("triggers", many(33, func(int) any { return map[string]any{"type": "cpu", "metadata": map[string]any{}} })), "must have at most 32 items"},
	"fallback":                     {inAutoScaling("fallback", map[string]any{"failureThreshold": int64(3), "replicas": int64(5)}), ""},
	"fallback of an unknown kind":  {inAutoScaling("fallback", map[string]any{"failureThreshold": int64(3), "replicas": int64(5), "behavior": "x"}), "Unsupported value"},
	"fallback below 0":             {inAutoScaling("fallback", map[string]any{"failureThreshold": int64(3), "replicas": int64(-5)}), "fallback.replicas"},
	"template":                     {inSpec("template", map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": map[string]any{"nodeSelector": map[string]any{"disk": "ssd"}}}), ""},
	"template of a word":           {inSpec("template", map[string]any{"spec": "x"}), "spec.template.spec"},
	"template with our labels":     {inTemplateLabels("app", "pubsub-subscriber"), ""},
	"template with another app":    {inTemplateLabels("app", "mine"), "the label app selects the workers and can't be changed"},
	"template, another channel":    {inTemplateLabels("pubsubchannel", "mine"), "the label pubsubchannel selects the workers and can't be changed"},
	"template, the same channel":   {inTemplateLabels("pubsubchannel", "base"), ""},
	"resources of numbers":         {inSpec("resources", map[string]any{"limits": map[string]any{"cpu": int64(1), "memory": "1Gi", "nvidia.com/gpu": int64(1)}, "requests": map[string]any{"cpu": "0.5"}}), ""},
	"resources of no quantity":     {inSpec("resources", map[string]any{"limits": map[string]any{"memory": "1 GB"}}), "spec.resources.limits.memory"},
	"resources of exponents":       {inSpec("resources", map[string]any{"limits": map[string]any{"cpu": "1e3", "memory": "1.5e+9"}, "requests": map[string]any{"cpu": "-.5E-3", "memory": "1.5Gi"}}), ""},
	"resources that none can read": {inSpec("resources", map[string]any{"limits": map[string]any{"cpu": "1e1.5"}}), "spec.resources.limits.cpu"},
	"resources beyond computing":   {inSpec("resources", map[string]any{"requests": map[string]any{"cpu": "1e99999999999"}}), "spec.resources.requests.cpu"},
	"resources with claims":        {inSpec("resources", map[string]any{"claims": []any{map[string]any{"name": "gpu", "request": "one"}}}), ""},
	"env of every source": {inSpec("env", []any{
		map[string]any{"name": "A", "value": "1"},
		map[string]any{"name": "B", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "spec.nodeName"}}},
		map[string]any{"name": "C", "valueFrom": map[string]any{"resourceFieldRef": map[string]any{"resource": "limits.cpu", "divisor": "1m"}}},
		map[string]any{"name": "D", "valueFrom": map[string]any{"configMapKeyRef": map[string]any{"name": "c", "key": "k", "optional": true}}},
		map[string]any{"name": "E", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "k"}}},
	}), ""},
	"env without a name":         {inSpec("env", []any{map[string]any{"value": "1"}}), "spec.env[0].name"},
	"paused of a word":           {inSpec("paused", "yes"), "spec.paused"},
	"name of 54":                 {func(name *string, _, _ map[string]any) { *name = strings.Repeat("n", 54) }, ""},
	"name of 55, autoscaled":     {func(name *string, _, _ map[string]any) { *name = strings.Repeat("n", 55) }, "at most 54 characters while autoScaling is enabled"},
	"name of 63, not autoscaled": {func(name *string, _, auto map[string]any) { *name, auto["enabled"] = strings.Repeat("n", 63), false }, ""},
	"name of 64":                 {func(name *string, _, auto map[string]any) { *name, auto["enabled"] = strings.Repeat("n", 64), false }, "at most 63 characters"},
}

func TestRules(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	all := maps.Clone(rules)
	maps.Copy(all, queueRules)
	maps.Copy(all, utilizationRules)
	maps.Copy(all, presetRules())
	require.Len(t, all, len(rules)+len(queueRules)+len(utilizationRules)+len(presetRules()), "a name stands for two rules")
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			err := s.Create(t.Context(), object(namespace, test.mutate), client.DryRunAll)
			if test.want == "" {
				assert.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.True(t, apierrors.IsInvalid(err), "%v", err)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestDefaults(t *testing.T) {
	s := sharedServer(t)
	u := object(s.namespace(t), func(_ *string, spec, auto map[string]any) {
		spec["queue"], spec["redis"] = map[string]any{}, map[string]any{}
	})
	require.NoError(t, s.Create(t.Context(), u, client.DryRunAll))
	assert.Equal(t, map[string]any{
		"channelName": "messages", "redisAddress": "dragonfly:6379", "replicas": int64(1),
		"messageTimeout": int64(30),
		"queue":          map[string]any{"type": "Auto"},
		"redis":          map[string]any{"mode": "Standalone", "database": int64(0)},
		"autoScaling": map[string]any{
			"enabled": true, "minReplicas": int64(1), "maxReplicas": int64(10), "targetQueueDepth": int64(100),
			"scaleUpThreshold": int64(150), "scaleDownThreshold": int64(50), "cooldownPeriod": int64(60),
			"activationQueueDepth": int64(0), "maxScaleDownStep": "20%", "policy": "Threshold",
		},
	}, u.Object["spec"])
	assert.Equal(t, map[string]any{"observedGeneration": int64(-1)}, u.Object["status"], "nobody has looked at it yet")
}
