package private

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is whom postgres runs as, for postgres refuses root. A nil account is
// the user who runs this process.
type account struct{ uid, gid uint32 }

// accountFor picks the account for a directory: nobody else's when we are not
// root, the owner of the cluster if there is one, else postgres, else nobody.
func accountFor(dir string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if fi, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			return &account{st.Uid, st.Gid}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &account{uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("postgres refuses to run as root, and there is neither a user postgres nor nobody")
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// inherited is how a child sees the first of its exec.Cmd.ExtraFiles.
const inherited = "/proc/self/fd/3"

// command completes a call of initdb or postgres: as the right account, on the
// cluster name within the directory. The caller calls done once the child has
// started.
//
// Another account may not be able to walk to the directory (a checkout below
// /root): the child then gets the open directory and reaches it through that.
func (p *Postgres) command(cmd *exec.Cmd, name string) (_ *exec.Cmd, done func() error, err error) {
	dir := p.opts.Dir
	done = func() error { return nil }
	cmd.Dir = "/"
	cmd.Env = environment()
	if p.runAs != nil {
		f, err := os.Open(dir)
		if err != nil {
			return nil, nil, err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.runAs.uid, Gid: p.runAs.gid}}
		cmd.ExtraFiles, dir, done = []*os.File{f}, inherited, f.Close
	}
	cmd.Args = append(cmd.Args, "-D", filepath.Join(dir, name))
	return cmd, done, nil
}

// dataDir is the cluster's path as the child of command sees it.
func dataDir(cmd *exec.Cmd) string { return cmd.Args[len(cmd.Args)-1] }

// environment is ours without what would change where postgres connects or
// looks.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C")
}
