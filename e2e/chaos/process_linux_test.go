package chaos

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the worker when the test is killed and can't clean up.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
