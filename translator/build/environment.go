package build

import (
	"encoding/json"
	"path"
	"strconv"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Volumes of the workers' pods.
const (
	volumeRedisCA          = "redis-ca"
	volumeRedisCertificate = "redis-client"
)

// operatorsEnv is what the operator tells the workers. What the channel leaves at its
// default is left out, so that a new field here changes no running pod.
func operatorsEnv(p *plan.Plan) []*corev1ac.EnvVarApplyConfiguration {
	queue := p.Trigger.Queue
	env := environment{
		value(v1.EnvRedisAddr, p.Trigger.Redis.Address),
		value(v1.EnvChannel, p.Channel.Spec.ChannelName),
		value(v1.EnvMessageTimeout, strconv.Itoa(int(p.MessageTimeout))),
		value(v1.EnvQueueType, string(queue.Type)),
	}
	env.add(v1.EnvConsumerGroup, queue.ConsumerGroup)
	if len(queue.Keys) > 0 {
		if keys, err := json.Marshal(queue.Keys); err == nil { // strings always can
			env.add(v1.EnvQueueKeys, string(keys))
		}
	}
	env.add(v1.EnvQueuePreset, string(queue.Preset))
	env.addRedis(p.Trigger.Redis)
	return append(env, corev1ac.EnvVar().WithName(v1.EnvPodName).
		WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(corev1ac.ObjectFieldSelector().WithFieldPath("metadata.name"))))
}

type environment []*corev1ac.EnvVarApplyConfiguration

// value is a variable whose text the container reads as it is here.
func value(name, text string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValue(literal(text))
}

// add adds a variable unless it is empty.
func (e *environment) add(name, text string) {
	if text != "" {
		*e = append(*e, value(name, text))
	}
}

func (e *environment) addSecret(name string, secret trigger.Secret) {
	if secret.IsZero() {
		return
	}
	*e = append(*e, corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().
		WithSecretKeyRef(corev1ac.SecretKeySelector().WithName(secret.Name).WithKey(secret.Key))))
}

func (e *environment) addRedis(r trigger.Redis) {
	if r.Mode != trigger.Standalone {
		e.add(v1.EnvRedisMode, string(r.Mode))
	}
	e.add(v1.EnvRedisSentinelMaster, r.SentinelMaster)
	if r.Database != 0 {
		e.add(v1.EnvRedisDatabase, strconv.Itoa(r.Database))
	}
	e.addSecret(v1.EnvRedisUsername, r.Username)
	e.addSecret(v1.EnvRedisPassword, r.Password)
	e.addSecret(v1.EnvRedisSentinelUsername, r.SentinelUsername)
	e.addSecret(v1.EnvRedisSentinelPassword, r.SentinelPassword)
	if !r.TLS && !r.SentinelTLS {
		return
	}
	if r.TLS {
		e.add(v1.EnvRedisTLS, "true")
	}
	if r.Mode == trigger.Sentinel && r.SentinelTLS != r.TLS {
		e.add(v1.EnvRedisSentinelTLS, strconv.FormatBool(r.SentinelTLS))
	}
	if !r.CA.IsZero() {
		e.add(v1.EnvRedisTLSCAFile, path.Join(v1.RedisCADir, plan.KeyCA))
	}
	if r.ClientCertificate != "" {
		e.add(v1.EnvRedisTLSCertFile, path.Join(v1.RedisCertificateDir, "tls.crt"))
		e.add(v1.EnvRedisTLSKeyFile, path.Join(v1.RedisCertificateDir, "tls.key"))
	}
	e.add(v1.EnvRedisTLSServerName, r.TLSServerName)
}

// redisVolumes are the Secrets of TLS. Of the CA's Secret the one key is mounted alone: the
// Secret that an issuer made often holds the server's private key as well.
func redisVolumes(p *plan.Plan) []*corev1ac.VolumeApplyConfiguration {
	r := p.Trigger.Redis
	var volumes []*corev1ac.VolumeApplyConfiguration
	if !r.CA.IsZero() {
		volumes = append(volumes, corev1ac.Volume().WithName(volumeRedisCA).WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(r.CA.Name).
			WithItems(corev1ac.KeyToPath().WithKey(r.CA.Key).WithPath(plan.KeyCA))))
	}
	if r.ClientCertificate != "" {
		volumes = append(volumes, corev1ac.Volume().WithName(volumeRedisCertificate).WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(r.ClientCertificate)))
	}
	return volumes
}

func redisMounts(p *plan.Plan) []*corev1ac.VolumeMountApplyConfiguration {
	r := p.Trigger.Redis
	var mounts []*corev1ac.VolumeMountApplyConfiguration
	mount := func(name, folder string) {
		mounts = append(mounts, corev1ac.VolumeMount().WithName(name).WithMountPath(folder).WithReadOnly(true))
	}
	if !r.CA.IsZero() {
		mount(volumeRedisCA, v1.RedisCADir)
	}
	if r.ClientCertificate != "" {
		mount(volumeRedisCertificate, v1.RedisCertificateDir)
	}
	return mounts
}
