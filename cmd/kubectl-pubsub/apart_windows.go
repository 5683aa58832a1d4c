package main

import (
	"os/exec"
	"syscall"
)

// setApart keeps the console's Ctrl-C from a program: it goes to the whole process group.
func setApart(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
