// Package hpa proves, against the HPA's own code, what is said of how the HPA follows the
// scaler. Its tests run kube-controller-manager's HorizontalController (k8s.io/kubernetes
// v1.36.3, pkg/controller/podautoscaler) as it is, on fake clients and in a bubble of fake
// time (testing/synctest), so that hours pass in milliseconds. Proven, each for random
// legal specs of both policies (Threshold and Utilization), queues, work in flight, sync periods
// and delays of the calls:
//
//   - Where the API server keeps behavior.*.tolerance (from 1.35 on), the HPA sets exactly
//     the replicas that scaler/policy decides, at the same sync, and writes nothing while
//     the policy holds; also when somebody else changes the replicas in between, and when
//     there are more or fewer pods than replicas. Every change among 1 to 1,000 replicas is
//     exact, and any change up to 7·10¹³ messages.
//   - Where it drops the tolerance, and the controller has its default of 0.1, the HPA
//     holds where the policy holds, never goes the other way, and goes as far as wanted at
//     least and a tenth of the replicas farther at most, within the steps. It cannot flap
//     there either. A small step is left undone only where scaleUpThreshold is less than
//     1.25 × scaleDownThreshold or, of Utilization, target less than 1.25 × scaleDown. What no answer can help: while there are up to a tenth
//     more or fewer pods than replicas, such an HPA takes the pods' number for the replicas'.
//   - Two scalings are never closer than the cooldown less one second, and the next comes
//     with the first sync after it: the HPA's own policies delay nothing.
//   - The API server takes the behavior of every legal policy, and adds nothing to it.
//   - The model of the HPA in simulation/hpa sets what the HPA sets, at
//     every sync, for any behavior that the API server takes.
//
// KEDA is in none of this but in what it does to the numbers: at each sync of the HPA its
// metrics adapter asks the scaler anew (KEDA 2.21, pkg/scaling/scale_handler.go,
// GetScaledObjectMetrics), and hands targets and values on as Quantities of three decimals
// (pkg/scalers/scaler.go, quantityFromFloat64). useCachedMetrics, which the translator
// doesn't set, would answer with what the last poll saw.
//
// In seconds, and with more cases, of another seed:
//
//	CGO_ENABLED=0 go -C e2e/hpa test -trimpath ./...
//	CGO_ENABLED=0 go -C e2e/hpa test -trimpath -timeout 1h . -cases 5000 -seed 7
package hpa
