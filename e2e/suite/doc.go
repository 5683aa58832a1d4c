// Package suite is the end-to-end tests: the operator, installed by its chart beside KEDA
// in a real cluster, scales real workers on a real Redis.
//
//	go test ./suite -tags e2e -v -timeout 30m
//
// They run on whatever cluster KUBECONFIG (or ~/.kube/config) points at, with helm,
// kubectl and grpcurl from PATH, and these variables:
//
//	E2E_IMAGE_TAG       tag of the operator's, subscriber's and publisher's images; required.
//	                    The cluster must have or be able to pull
//	                    jawaracloud/pubsub-operator, jawaracloud/subscriber and
//	                    jawaracloud/publisher with this tag.
//	E2E_REDIS_IMAGE     an image with redis-server and redis-cli, default
//	                    pubsub-operator-e2e/redis:debian
//	E2E_HANDLER_IMAGE   the image of e2e/cmd/handler, default
//	                    pubsub-operator-e2e/handler:e2e
//	E2E_HPA_SYNC        kube-controller-manager's --horizontal-pod-autoscaler-sync-period,
//	                    default 15s; every wait and cooldown follows from it
//	E2E_KEDA_NAMESPACE  where KEDA runs, default keda
//
// The chart's release pubsub-operator in namespace pubsub-system is installed or upgraded,
// and left there. Each test works in a namespace of its own, named psc-e2e-..., which is
// deleted when it ends.
//
// The tests run side by side, also those that disturb KEDA, the operator or the node: each
// waits until nobody needs what it disturbs (package sharing, turns_test.go).
package suite
