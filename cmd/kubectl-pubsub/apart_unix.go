//go:build !windows

package main

import (
	"os/exec"
	"syscall"
)

// setApart keeps the terminal's Ctrl-C from a program: it goes to the whole process group.
func setApart(command *exec.Cmd) { command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
