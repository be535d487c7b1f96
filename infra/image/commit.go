package image

import (
	"os/exec"
	"strings"
)

const unknownCommit = "unknown"

// lastCommit names the last commit that changed one of the files, with "-dirty" when they have changes of their own. It
// is for people, so it never fails: without git, or without the history that would tell, it is "unknown". A commit that
// only removes files is not seen.
func lastCommit(context string, files []string) string {
	git := func(args ...string) (string, error) {
		// Asking must not lock out somebody who is committing.
		out, err := exec.Command("git", append([]string{"-C", context, "--no-optional-locks"}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	paths := append([]string{"--"}, files...)

	shallow, err := git("rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "false" {
		return unknownCommit
	}
	commit, err := git(append([]string{"log", "-1", "--format=%H"}, paths...)...)
	if err != nil || commit == "" {
		return unknownCommit
	}
	changes, err := git(append([]string{"status", "--porcelain"}, paths...)...)
	if err != nil {
		return unknownCommit
	}
	if changes != "" {
		return commit + "-dirty"
	}
	return commit
}
