package fault

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/sysemu/sysemu"
)

// changedFiles is what programs have left of changes in a machine's tree: for each path what is there now. Times and inode
// numbers are not in it.
func changedFiles(m *sysemu.Machine) (map[string]string, error) {
	changes, err := m.Changes()
	if err != nil {
		return nil, err
	}
	tree := m.FS()
	files := map[string]string{}
	for _, c := range changes {
		what := c.Kind.String()
		if c.Info != nil {
			mode := c.Info.Mode()
			what += " " + mode.String()
			switch {
			case mode.IsRegular():
				sum, err := digest(tree, c.Path[1:])
				if err != nil {
					return nil, err
				}
				what += " " + sum
			case mode.Type() == fs.ModeSymlink:
				to, err := fs.ReadLink(tree, c.Path[1:])
				if err != nil {
					return nil, err
				}
				what += " " + to
			case mode.IsDir() && c.Kind == sysemu.ChangeModified:
				continue // something in it has changed, which is told of by itself
			}
		}
		if c.From != "" {
			what += " from " + c.From
		}
		name := path.Clean(c.Path)
		files[name] += what + "\n" // deleted, then added
	}
	return files, nil
}

// digest stands for what a file holds.
func digest(tree fs.FS, name string) (string, error) {
	f, err := tree.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
