package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Just what is read of Kubernetes' objects, so that this module needs none of its own.
type (
	condition struct {
		Type, Status, Reason, Message string
	}
	channel struct {
		Status struct {
			Phase      string
			Conditions []condition
		}
	}
	deployment struct {
		Spec   struct{ Replicas int32 }
		Status struct{ Replicas, ReadyReplicas int32 }
	}
	job struct {
		Status struct{ Conditions []condition }
	}
	event struct {
		Metadata  struct{ Name string }
		EventTime time.Time
		Message   string
	}
	eventList struct{ Items []event }
	podList   struct{ Items []pod }
	pod       struct {
		Metadata struct {
			Name              string
			DeletionTimestamp *time.Time
		}
		Status struct {
			Phase             string
			Conditions        []condition
			ContainerStatuses []containerStatus
		}
	}
	containerStatus struct {
		State struct {
			Waiting    *struct{ Reason, Message string }
			Terminated *struct {
				Reason   string
				ExitCode int
			}
		}
		LastState struct {
			Terminated *struct {
				Reason   string
				ExitCode int
			}
		}
	}
)

func findCondition(conditions []condition, kind string) condition {
	i := slices.IndexFunc(conditions, func(c condition) bool { return c.Type == kind })
	if i < 0 {
		return condition{}
	}
	return conditions[i]
}

// summary is how many of the pods are ready, and what keeps the others.
func (l podList) summary() string {
	ready, total := 0, 0
	for _, p := range l.Items {
		if p.Metadata.DeletionTimestamp != nil || p.Status.Phase == "Succeeded" {
			continue
		}
		total++
		if findCondition(p.Status.Conditions, "Ready").Status == "True" {
			ready++
		}
	}
	words := []string{fmt.Sprintf("%d of %d pods are ready", ready, total)}
	return strings.Join(append(words, l.troubles()...), "; ")
}

// troubles names the pods that something is wrong with; a pod that is merely starting is
// not one of them.
func (l podList) troubles() []string {
	var troubles []string
	for _, p := range l.Items {
		if p.Metadata.DeletionTimestamp != nil {
			continue
		}
		if c := findCondition(p.Status.Conditions, "PodScheduled"); c.Status == "False" {
			troubles = append(troubles, fmt.Sprintf("pod %s: %s: %s", p.Metadata.Name, c.Reason, c.Message))
		}
		for _, c := range p.Status.ContainerStatuses {
			if trouble := c.trouble(); trouble != "" {
				troubles = append(troubles, fmt.Sprintf("pod %s: %s", p.Metadata.Name, trouble))
			}
		}
	}
	return troubles
}

func (c containerStatus) trouble() string {
	if ended := c.State.Terminated; ended != nil && ended.ExitCode != 0 {
		return fmt.Sprintf("%s, exit code %d", ended.Reason, ended.ExitCode)
	}
	waiting := c.State.Waiting
	if waiting == nil || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
		return ""
	}
	words := waiting.Reason
	if waiting.Message != "" {
		words += ": " + waiting.Message
	}
	if strings.Contains(waiting.Reason, "ImagePull") || strings.Contains(waiting.Reason, "ErrImage") {
		words += " (build and load the images: make cluster-load)"
	}
	if last := c.LastState.Terminated; last != nil {
		words += fmt.Sprintf(" (last exit code %d)", last.ExitCode)
	}
	return words
}
