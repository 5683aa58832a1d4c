// Package kstatus holds kstatus, by which Flux and others tell how an object is, against
// channels in every state that they can be in. The objects are those that the translator's
// own tests make (translator/status/testdata/kstatus); the first word of a file's name is what
// kstatus must say. In this module, because only a test needs kstatus.
package kstatus
