package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/fsys/tarfs"
)

// fileFlags are archives to run programs on, and where the changes they make go.
type fileFlags struct {
	Image   string         `placeholder:"FILE|DIR" type:"path" help:"Archive or image to be the machine's /, below a layer in memory: tar, plain or by gzip, an OCI layout, or what docker save writes. Its variables, directory, user and command hold where none are given."`
	Mount   []archiveMount `placeholder:"SRC:DST" sep:"none" help:"Show what is in an archive or image at DST, read-only."`
	Changes bool           `help:"At the end, list the files that programs changed in /."`
	Export  string         `placeholder:"FILE" type:"path" help:"At the end, write these changes to FILE as a tar archive: a layer of an image."`
	Commit  string         `placeholder:"DIR" type:"path" help:"At the end, make these changes in DIR, a directory of the host."`

	opened []*tarfs.FS
	config tarfs.Config // of --image
	export *os.File
}

// archiveMount is one --mount.
type archiveMount struct{ src, dst string }

func (m *archiveMount) UnmarshalText(text []byte) error {
	var ok bool
	if m.src, m.dst, ok = strings.Cut(string(text), ":"); !ok || m.src == "" || m.dst == "" {
		return fmt.Errorf("%q is not of the form SRC:DST", text)
	}
	if !strings.HasPrefix(m.dst, "/") {
		return fmt.Errorf("the directory inside, %q, does not begin with /", m.dst)
	}
	return nil
}

// openArchives opens what --image and --mount name; hasUser: who the programs
// run as is said elsewhere. closeArchives is to be called in any case.
func (f *fileFlags) openArchives(hasUser bool) (opts []sysemu.Option, err error) {
	if f.Image != "" {
		image, config, err := tarfs.OpenImage(f.Image)
		if err != nil {
			return nil, archiveError("--image", f.Image, err)
		}
		f.opened = append(f.opened, image)
		f.config = *config
		opts = append(opts, sysemu.WithRootFS(image))
		if config.User != "" && !hasUser {
			u, err := imageUser(image, config.User)
			if err != nil {
				return nil, archiveError("--image", f.Image, err)
			}
			opts = append(opts, sysemu.WithUser(u.uid, u.gid))
		}
	}
	for _, m := range f.Mount {
		archive, _, err := tarfs.OpenImage(m.src)
		if err != nil {
			return nil, archiveError("--mount", m.src, err)
		}
		f.opened = append(f.opened, archive)
		opts = append(opts, sysemu.WithFS(archive, m.dst))
	}
	return opts, nil
}

// archiveError is an error of a flag, with the archive's name once.
func archiveError(flag, name string, err error) error {
	if err = plain(err); !strings.Contains(err.Error(), name) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return usageError{fmt.Errorf("%s: %w", flag, err)}
}

func (f *fileFlags) closeArchives() {
	for _, a := range f.opened {
		a.Close()
	}
	f.opened = nil
}

// imageUser is who an image says it is run as: numbers, or names of its
// /etc/passwd and /etc/group.
func imageUser(image fs.FS, name string) (u user, err error) {
	name, group, hasGroup := strings.Cut(name, ":")
	entry, err := lookUp(image, "etc/passwd", name)
	if err != nil {
		return u, err
	}
	uid, gid := name, "0" // of numbers that nobody has, as container runtimes do
	if entry != nil {
		uid, gid = entry[2], entry[3]
	}
	if hasGroup {
		gid = group
		if entry, err = lookUp(image, "etc/group", group); err != nil {
			return u, err
		} else if entry != nil {
			gid = entry[2]
		}
	}
	if err := u.UnmarshalText([]byte(uid + ":" + gid)); err != nil {
		return u, fmt.Errorf("it is to run as user %q, who is not in its /etc/passwd", name)
	}
	return u, nil
}

// lookUp returns the line of a name or number in a file like /etc/passwd, in
// fields; nil for none.
func lookUp(image fs.FS, file, name string) ([]string, error) {
	b, err := fs.ReadFile(image, file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		e := strings.Split(strings.TrimSpace(line), ":")
		if len(e) >= 4 && name != "" && (e[0] == name || e[2] == name) {
			return e, nil
		}
	}
	return nil, nil
}

// makeOutputs looks for what would keep the changes from being written before
// anything runs.
func (f *fileFlags) makeOutputs() error {
	if f.Commit != "" {
		if err := isDirectory(f.Commit); err != nil {
			return usageError{fmt.Errorf("--commit: %w", err)}
		}
	}
	if f.Export != "" {
		var err error
		if f.export, err = os.Create(f.Export); err != nil {
			return usageError{fmt.Errorf("--export: %w", plain(err))}
		}
	}
	return nil
}

func (f *fileFlags) closeOutputs() {
	if f.export != nil {
		f.export.Close()
	}
}

// writeChanges tells of what programs changed, each way that was asked for.
func (f *fileFlags) writeChanges(std streams, m *sysemu.Machine) error {
	var errs []error
	if f.Changes {
		errs = append(errs, listChanges(std, m))
	}
	if f.export != nil {
		err := errors.Join(m.ExportChanges(f.export), f.export.Close())
		if err != nil {
			errs = append(errs, fmt.Errorf("--export: %s is not complete: %w", f.Export, plain(err)))
		}
	}
	if f.Commit != "" {
		if err := m.CommitChanges(f.Commit); err != nil {
			errs = append(errs, fmt.Errorf("--commit: %s: %w", f.Commit, err))
		}
	}
	return errors.Join(errs...)
}

func listChanges(std streams, m *sysemu.Machine) error {
	list, err := m.Changes()
	if err != nil {
		return fmt.Errorf("--changes: %w", err)
	}
	if len(list) == 0 {
		fmt.Fprintln(std.err, "sysemu: no changes")
		return nil
	}
	fmt.Fprintln(std.err, "sysemu: changes:")
	for _, c := range list {
		from := ""
		if c.From != "" {
			from = " from " + shown(c.From)
		}
		fmt.Fprintf(std.err, "  %-8v %s%s\n", c.Kind, shown(c.Path), from)
	}
	return nil
}

// shown is a path as it can be shown: quoted when it holds what is no text.
func shown(p string) string {
	if q := strconv.Quote(p); q[1:len(q)-1] != p {
		return q
	}
	return p
}

// noChanges is the flag given that is not for commands that end with no changes.
func (f *fileFlags) noChanges() string {
	switch {
	case f.Changes:
		return "--changes"
	case f.Export != "":
		return "--export"
	case f.Commit != "":
		return "--commit"
	}
	return ""
}
