// Package translator turns PubSubChannels into Deployments and KEDA ScaledObjects, and tells in
// their status what became of it. One reconcile goes through these rooms, each of which knows
// only those before it:
//
//	reading      the cache's informer decodes channels one by one, so that one that can't be
//	             decoded is told, and holds up no other
//	plan         the channel is read once: its defaults, what the scaler is asked (autoscaling
//	             reads the policy, hours the schedules), pauses, and what is wrong in it
//	build        of the plan a Deployment, a PodDisruptionBudget and a ScaledObject are made
//	             (behavior has what the HPA and KEDA do in between)
//	limits       what whoever installs the operator does not permit is refused
//	apply        each child is brought up to date by server-side apply, where ownership finds in
//	             managedFields that it is not as it was built
//	diagnosis    where workers are not up, their pods say why
//	inquiry      the scaler's last answer about the queue, for which the observer keeps asking
//	status       of the plan, and of all that was observed, conditions, phase and events are made
//
// All of them but apply are pure. Here is the rest: the Reconciler, which says in which order
// things are done, the caches and watches that bring it back, the observer, the looks at pods,
// and how a status is written. The package keda has what several rooms know of KEDA.
//
// A channel without a problem that is looked at again costs no write: children are applied only
// where they differ, and the status is patched only where it says something new.
package translator
