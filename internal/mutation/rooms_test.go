//go:build mutation

package mutation

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hangs is how long a room's tests may take with a mutant; those that take longer have noticed it.
const hangs = 2 * time.Minute

// Each operator of the pure rooms, changed alone, makes a test fail, or is one of same.
func TestEveryOperatorIsNoticed(t *testing.T) {
	chosen, err := regexp.Compile(*only)
	require.NoError(t, err)
	for _, r := range rooms {
		t.Run(r.folder, func(t *testing.T) {
			overlay, ids := mutate(t, r)
			binary := build(t, overlay, r.folder)
			require.True(t, passes(t, r, binary, ""), "with no mutant")
			ids = slices.DeleteFunc(ids, func(id string) bool { return !chosen.MatchString(r.folder + "/" + id) })
			noticed := 0
			for _, id := range ids {
				switch why, listed := same[r.folder+"/"+id]; {
				case !passes(t, r, binary, id):
					noticed++
				case !listed:
					t.Errorf("no test notices: %s/%s", r.folder, id)
				default:
					fmt.Fprintf(os.Stderr, "%s/%s: %s\n", r.folder, id, why)
				}
			}
			t.Logf("%d of %d mutants are noticed", noticed, len(ids))
		})
	}
}

// passes runs a room's tests with one mutant.
func passes(t *testing.T, r room, binary, id string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	command := exec.CommandContext(ctx, binary, append([]string{"-test.failfast", "-test.short"}, r.args...)...)
	command.Dir = filepath.Join(root, r.folder)
	command.Env = append(slices.Clone(os.Environ()), variable+"="+id)
	output, err := command.CombinedOutput()
	if id == "" && err != nil {
		t.Logf("%s", output)
	}
	return err == nil
}

// same are mutants with which nothing is different that anybody could see, with why.
var same = map[string]string{
	"scaler/policy/utilization.go:Utilization: state.Depth < d.LowerBound → state.Depth <= d.LowerBound":                                                "at the lower bound the reason is Cooldown for an old message only, of which the next line has the same answer",
	`translator/limits/limits.go:mustEvaluator: without panic(fmt.Sprintf("the Pod Security Standards of the library contradict themselves: %v", err))`: "the library's checks don't contradict themselves",
}
