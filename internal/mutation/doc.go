// Package mutation takes away each row of the tables and switches that join the rooms, and changes
// each operator of some pure rooms, one at a time, and sees that a test notices. It is tests alone,
// with the build tag mutation, because it takes twenty minutes and more: `make mutation-test` runs it.
package mutation
