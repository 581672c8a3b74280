package ipc

import (
	"slices"

	"github.com/sysemu/sysemu/abi"
	"github.com/sysemu/sysemu/internal/vfs"
	"github.com/sysemu/sysemu/internal/wait"
	"golang.org/x/sys/unix"
)

// Set is an array of semaphores, semget(2).
type Set struct {
	object
	sems    []semaphore
	otime   int64
	ctime   int64
	pending []*semOps // who waits, in the order they came
	undos   []*undo   // of this set
	gone    bool
}

type semaphore struct {
	val int32
	pid int32 // of the last to change it
}

// semOps is one semop call that waits. Whoever changes the set carries it out
// on its behalf, so that nobody can come in between.
type semOps struct {
	ops  []abi.Sembuf
	undo *undo
	pid  int32
	at   int // the operation that cannot be done
	done bool
	err  error
	task wait.Task
}

// Undo is what a process's SEM_UNDO operations amount to; it is applied when
// the process ends.
type Undo struct{ list []*undo }

// undo is that for one set.
type undo struct {
	set *Set
	adj []int32
}

// Semget serves semget(2).
func (s *System) Semget(ctx vfs.Context, key int32, n int, flags int) (int, error) {
	if n < 0 || n > abi.SEMMSL {
		return 0, unix.EINVAL
	}
	return find(ctx, &s.sem, key, flags, func(o *Set) bool { return n <= len(o.sems) }, func() (int, error) {
		switch {
		case n == 0:
			return 0, unix.EINVAL
		case s.semCount+n > abi.SEMMNS || s.sem.used >= abi.SEMMNI:
			return 0, unix.ENOSPC
		}
		o := &Set{sems: make([]semaphore, n), ctime: seconds(ctx)}
		s.semCount += n
		return s.sem.add(ctx, o, key, uint32(flags)), nil
	})
}

// try carries out all operations or none. blocked is the index of the first
// that has to wait, -1 when there is none.
func (o *Set) try(ops []abi.Sembuf, u *undo, pid int32) (blocked int, err error) {
	i := 0
	for ; i < len(ops); i++ {
		op := &ops[i]
		sem := &o.sems[op.Num]
		v := sem.val + int32(op.Op)
		if op.Op == 0 && sem.val != 0 || v < 0 {
			blocked, err = i, nil
			if op.Flg&unix.IPC_NOWAIT != 0 {
				err = unix.EAGAIN
			}
			break
		}
		if v > abi.SEMVMX {
			blocked, err = i, unix.ERANGE
			break
		}
		if op.Flg&abi.SEM_UNDO != 0 {
			a := u.adj[op.Num] - int32(op.Op)
			if a < -abi.SEMAEM-1 || a > abi.SEMAEM {
				blocked, err = i, unix.ERANGE
				break
			}
			u.adj[op.Num] = a
		}
		sem.val = v
	}
	if i == len(ops) {
		for _, op := range ops {
			o.sems[op.Num].pid = pid
		}
		return -1, nil
	}
	for i--; i >= 0; i-- {
		op := &ops[i]
		o.sems[op.Num].val -= int32(op.Op)
		if op.Flg&abi.SEM_UNDO != 0 {
			u.adj[op.Num] += int32(op.Op)
		}
	}
	return blocked, err
}

// changed carries out what waits and can be done now.
func (o *Set) changed(ctx vfs.Context) {
	for again := true; again; {
		again = false
		for i := 0; i < len(o.pending); i++ {
			p := o.pending[i]
			at, err := o.try(p.ops, p.undo, p.pid)
			p.at = max(at, 0)
			if at >= 0 && err == nil {
				continue
			}
			o.pending = slices.Delete(o.pending, i, i+1)
			i--
			p.done, p.err = true, err
			if err == nil {
				o.otime = seconds(ctx)
				again = alters(p.ops) || again
			}
			p.task.Wakeup()
		}
	}
}

func alters(ops []abi.Sembuf) bool {
	return slices.ContainsFunc(ops, func(op abi.Sembuf) bool { return op.Op != 0 })
}

// undoFor returns what the process has to undo in o.
func (o *Set) undoFor(all *Undo) *undo {
	for _, u := range o.undos {
		if slices.Contains(all.list, u) {
			return u
		}
	}
	u := &undo{o, make([]int32, len(o.sems))}
	o.undos = append(o.undos, u)
	all.list = append(all.list, u)
	return u
}

// Semop serves semop(2) and semtimedop(2). deadline is on the monotonic clock,
// 0 for none; all is the process's.
func (s *System) Semop(ctx vfs.Context, id int, ops []abi.Sembuf, deadline int64, all *Undo) error {
	o, err := s.sem.get(id)
	if err != nil {
		return err
	}
	want := uint32(mayRead)
	if alters(ops) {
		want = mayWrite
	}
	undoing := false
	for i := range ops {
		if int(ops[i].Num) >= len(o.sems) {
			return unix.EFBIG
		}
		undoing = undoing || ops[i].Flg&abi.SEM_UNDO != 0
	}
	if err := o.access(ctx, want); err != nil {
		return err
	}
	p := &semOps{ops: ops, pid: int32(ctx.PID()), task: ctx}
	if undoing {
		p.undo = o.undoFor(all)
	}
	p.at, err = o.try(ops, p.undo, p.pid)
	if err != nil {
		return err
	}
	if p.at < 0 {
		o.otime = seconds(ctx)
		if alters(ops) {
			o.changed(ctx)
		}
		return nil
	}
	o.pending = append(o.pending, p)
	for !p.done {
		err := ctx.Sleep(deadline)
		if err == nil || p.done {
			continue
		}
		o.pending = slices.DeleteFunc(o.pending, func(q *semOps) bool { return q == p })
		if err == wait.ErrTimedOut {
			return unix.EAGAIN
		}
		return unix.EINTR // never restarted, signal(7)
	}
	return p.err
}

// Exit applies what the process is to undo: it ends.
func (s *System) Exit(ctx vfs.Context, all *Undo) {
	for _, u := range all.list {
		o := u.set
		if o.gone {
			continue
		}
		o.undos = slices.DeleteFunc(o.undos, func(v *undo) bool { return v == u })
		for i, a := range u.adj {
			if a != 0 {
				sem := &o.sems[i]
				sem.val = min(max(sem.val+a, 0), abi.SEMVMX)
				sem.pid = int32(ctx.PID())
			}
		}
		o.otime = seconds(ctx)
		o.changed(ctx)
	}
	all.list = nil
}

// SemStat is IPC_STAT, SEM_STAT and SEM_STAT_ANY, as ShmStat.
func (s *System) SemStat(ctx vfs.Context, id, cmd int) (int, abi.SemidDS, error) {
	o, ret, err := stat(ctx, &s.sem, id, cmd == unix.IPC_STAT, cmd == abi.SEM_STAT_ANY)
	if err != nil {
		return 0, abi.SemidDS{}, err
	}
	return ret, abi.SemidDS{Perm: o.perm, Otime: o.otime, Ctime: o.ctime, Nsems: uint64(len(o.sems))}, nil
}

// SemInfo is IPC_INFO, or SEM_INFO when use is set.
func (s *System) SemInfo(use bool) (top int, i abi.Seminfo) {
	i = abi.Seminfo{Map: abi.SEMMNS, Mni: abi.SEMMNI, Mns: abi.SEMMNS, Mnu: abi.SEMMNS, Msl: abi.SEMMSL,
		Opm: abi.SEMOPM, Ume: abi.SEMOPM, Usz: 20, Vmx: abi.SEMVMX, Aem: abi.SEMAEM}
	if use {
		i.Usz, i.Aem = int32(s.sem.used), int32(s.semCount)
	}
	return s.sem.top(), i
}

// SemSet is IPC_SET.
func (s *System) SemSet(ctx vfs.Context, id int, p *abi.IpcPerm) error {
	o, err := s.sem.get(id)
	if err == nil {
		err = o.own(ctx)
	}
	if err == nil {
		o.set(p)
		o.ctime = seconds(ctx)
	}
	return err
}

// SemRemove is IPC_RMID: who waits gets EIDRM.
func (s *System) SemRemove(ctx vfs.Context, id int) error {
	o, err := s.sem.get(id)
	if err == nil {
		err = o.own(ctx)
	}
	if err != nil {
		return err
	}
	o.gone = true
	s.sem.remove(o)
	s.semCount -= len(o.sems)
	for _, p := range o.pending {
		p.done, p.err = true, unix.EIDRM
		p.task.Wakeup()
	}
	o.pending, o.undos = nil, nil
	return nil
}

// semaphores returns the set for GETVAL and the like.
func (s *System) semaphores(ctx vfs.Context, id int, want uint32) (*Set, error) {
	o, err := s.sem.get(id)
	if err == nil {
		err = o.access(ctx, want)
	}
	return o, err
}

// SemGet is GETVAL, GETPID, GETNCNT and GETZCNT of semaphore num.
func (s *System) SemGet(ctx vfs.Context, id, num, cmd int) (int, error) {
	o, err := s.semaphores(ctx, id, mayRead)
	if err != nil {
		return 0, err
	}
	if num < 0 || num >= len(o.sems) {
		return 0, unix.EINVAL
	}
	switch cmd {
	case abi.GETVAL:
		return int(o.sems[num].val), nil
	case abi.GETPID:
		return int(o.sems[num].pid), nil
	}
	n := 0
	for _, p := range o.pending {
		if op := p.ops[p.at]; int(op.Num) == num && (op.Op == 0) == (cmd == abi.GETZCNT) {
			n++
		}
	}
	return n, nil
}

// SemGetAll is GETALL.
func (s *System) SemGetAll(ctx vfs.Context, id int) ([]uint16, error) {
	o, err := s.semaphores(ctx, id, mayRead)
	if err != nil {
		return nil, err
	}
	v := make([]uint16, len(o.sems))
	for i := range v {
		v[i] = uint16(o.sems[i].val)
	}
	return v, nil
}

// SemCount is how many semaphores the set has, for who is about to SETALL.
func (s *System) SemCount(ctx vfs.Context, id int) (int, error) {
	o, err := s.semaphores(ctx, id, mayWrite)
	if err != nil {
		return 0, err
	}
	return len(o.sems), nil
}

// SemSetVal is SETVAL.
func (s *System) SemSetVal(ctx vfs.Context, id, num int, val int32) error {
	if val < 0 || val > abi.SEMVMX {
		return unix.ERANGE
	}
	o, err := s.sem.get(id)
	if err != nil {
		return err
	}
	if num < 0 || num >= len(o.sems) {
		return unix.EINVAL
	}
	if err := o.access(ctx, mayWrite); err != nil {
		return err
	}
	o.assign(ctx, num, val)
	o.ctime = seconds(ctx)
	o.changed(ctx)
	return nil
}

// SemSetAll is SETALL: vals has as many as the set.
func (s *System) SemSetAll(ctx vfs.Context, id int, vals []uint16) error {
	o, err := s.semaphores(ctx, id, mayWrite)
	if err != nil {
		return err
	}
	if len(vals) != len(o.sems) {
		return unix.EIDRM
	}
	for _, v := range vals {
		if v > abi.SEMVMX {
			return unix.ERANGE
		}
	}
	for i, v := range vals {
		o.assign(ctx, i, int32(v))
	}
	o.ctime = seconds(ctx)
	o.changed(ctx)
	return nil
}

// assign sets a semaphore's value: there is nothing to undo then.
func (o *Set) assign(ctx vfs.Context, num int, val int32) {
	for _, u := range o.undos {
		u.adj[num] = 0
	}
	o.sems[num] = semaphore{val, int32(ctx.PID())}
}
