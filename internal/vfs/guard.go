package vfs

// Use says what is done with a file.
type Use uint8

const (
	// UseLook is for its attributes, for a link's text, as a working
	// directory, or O_PATH: everything that walks to a file by its name and
	// is none of the below.
	UseLook Use = 1 << iota
	// UseRead is for what is in it: to open it for reading, to watch it.
	UseRead
	// UseWrite is to change it, its attributes or its name, to make or remove
	// it. Another name for it (rename, link) is to read and write it.
	UseWrite
	// UseExec is to execute it, as a program or the interpreter of one.
	UseExec
	// UseTree comes with the others: of a directory all that is below it is
	// meant as well, since it gets other names.
	UseTree
)

// Guard is a Context that has a say in which files are used. It is asked about
// the file itself, when all of its name has been resolved and before anything
// is done to it: whatever names and links become meanwhile, it is the file that
// is used. It must not wait.
type Guard interface {
	// Guarded reports whether MayUse is to be asked at all.
	Guarded() bool
	// MayUse is told a file's name as seen from the root of all mounts: clean
	// and absolute, without any links. A place that cannot be named so begins
	// with something else than a slash. An error is the operation's.
	MayUse(name string, u Use) error
}

// MayUse asks ctx about p, if it is a Guard.
func MayUse(ctx Context, p Path, u Use) error { return mayUse(ctx, p, "", u) }

// mayUse asks about p or, unless child is "", about that name in it.
func mayUse(ctx Context, p Path, child string, u Use) error {
	g, ok := ctx.(Guard)
	if !ok || !g.Guarded() {
		return nil
	}
	if p.Mount == nil && u&UseExec == 0 {
		return nil // a pipe, a socket, a memfd: whoever has it open may use it
	}
	name := guardName(p)
	if child != "" {
		if name != "/" {
			name += "/"
		}
		name += child
	}
	return g.MayUse(name, u)
}

// guardName is p's name from the root of its namespace's mounts, of a file that
// was removed the one it had.
func guardName(p Path) string {
	if p.Mount == nil {
		if n, ok := p.Inode().(Namer); ok {
			return "anonymous:" + n.Name()
		}
		return "anonymous:"
	}
	name, top := nameFrom(Path{}, p)
	if top.Dentry != top.Mount.root || top.Mount.parent != nil || top.Mount.ns == nil {
		return "(unreachable)" + name
	}
	return name
}

// walkFor is Walk for a use of the file that it leads to.
func walkFor(ctx Context, at At, name string, flags WalkFlags, resolve uint64, u Use) (Path, error) {
	p, err := walk(ctx, ctx.Cred(), at, name, flags, resolve)
	if err != nil {
		return p, err
	}
	if u == UseLook && name == "" {
		return p, nil // it is open already
	}
	if err := mayUse(ctx, p, "", u); err != nil {
		p.Unref()
		return Path{}, err
	}
	return p, nil
}

// WalkFor is Walk for who does more with the file than to look at it.
func WalkFor(ctx Context, at At, name string, flags WalkFlags, u Use) (Path, error) {
	return walkFor(ctx, at, name, flags, 0, u)
}

// useOf is what opening with flags is for.
func useOf(flags int) Use {
	var u Use
	want := accessOf(flags)
	if want&MayRead != 0 {
		u |= UseRead
	}
	if want&MayWrite != 0 {
		u |= UseWrite
	}
	return u
}
