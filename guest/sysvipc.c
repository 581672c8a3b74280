// System V shared memory, semaphores and message queues.
#include "guest.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define PAGE 4096UL

static struct shmid_ds stat_of(int id)
{
	struct shmid_ds d = {0};
	must(shmctl(id, IPC_STAT, &d));
	return d;
}

static void show_shm(const char *what, int id)
{
	struct shmid_ds d;
	if (shmctl(id, IPC_STAT, &d) == -1) {
		say("%s: %s", what, errname(errno));
		return;
	}
	say("%s: %zu bytes, %ld attached, mode %o, private %d", what, d.shm_segsz, (long)d.shm_nattch, d.shm_perm.mode, d.shm_perm.__key == IPC_PRIVATE);
}

TEST(shm)
{
	R(shmget(IPC_PRIVATE, 0, 0600));
	int id = must(shmget(IPC_PRIVATE, 10000, 0600 | IPC_CREAT));
	show_shm("new", id);
	char *p = must(shmat(id, NULL, 0)), *q = must(shmat(id, NULL, SHM_RDONLY));
	show_shm("twice", id);
	strcpy(p + 5000, "hello");
	say("%s", q + 5000);
	R(mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	pid_t c = CHILD(show_shm("child", id); strcpy(p, "from the child"); R(shmdt(p)); show_shm("child after shmdt", id));
	reap("child", c);
	say("%s", q);
	show_shm("child gone", id);
	R(shmctl(id, IPC_RMID, NULL));
	show_shm("removed", id);
	char *r = shmat(id, NULL, 0);
	say("attach after removal: %s", r == (void *)-1 ? errname(errno) : r);
	R(shmdt(p));
	R(shmdt(p));
	R(shmdt(p + 1));
	R(shmdt(q));
	show_shm("one left", id);
	R(shmdt(r));
	show_shm("none left", id);
	R((long)shmat(id, NULL, 0));
}

TEST(shm_places)
{
	int id = must(shmget(IPC_PRIVATE, 3 * PAGE, 0600));
	char *room = must(mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	R((long)shmat(id, room, 0));
	R((long)shmat(id, room + 1, 0));
	R((long)shmat(id, room + 1, SHM_RND));
	R((long)shmat(id, NULL, SHM_REMAP));
	say("%d", (char *)shmat(id, room + PAGE + 7, SHM_RND | SHM_REMAP) == room + PAGE);
	room[PAGE] = 1, room[4 * PAGE - 1] = 2;
	show_shm("mapped", id);
	R(munmap(room + 2 * PAGE, PAGE));
	show_shm("a hole", id);
	R(mprotect(room + 3 * PAGE, PAGE, PROT_READ));
	show_shm("protected", id);
	R(shmdt(room + PAGE));
	show_shm("detached", id);
	char *p = must(shmat(id, NULL, 0));
	say("%d %d", p[0], p[3 * PAGE - 1]);
	R(mprotect(p, PAGE, PROT_READ));
	show_shm("split", id);
	R(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	show_shm("alike again", id);
	R(shmctl(id, IPC_RMID, NULL));
	show_shm("removed", id);
	execl("/bin/true", "true", NULL);
}

TEST(shm_exec)
{
	int id = must(shmget(IPC_PRIVATE, PAGE, 0600));
	must(shmat(id, NULL, 0));
	reap("exec", CHILD(execl("/bin/true", "true", NULL)));
	show_shm("after exec", id);
	R(shmctl(id, IPC_RMID, NULL));
}

TEST(keys)
{
	key_t k = must(ftok("/", 'q'));
	T(k == ftok("/", 'q'));
	R(shmget(k, PAGE, 0600));
	int id = must(shmget(k, PAGE, 0640 | IPC_CREAT | IPC_EXCL));
	R(shmget(k, PAGE, IPC_CREAT | IPC_EXCL));
	T(shmget(k, PAGE, 0) == id);
	T(shmget(k, 0, 0600) == id);
	R(shmget(k, 2 * PAGE, 0));
	struct shmid_ds d = stat_of(id);
	say("mode %o, own %d, creator %d, attached %ld, last %d", d.shm_perm.mode, d.shm_perm.uid == geteuid(), d.shm_cpid == getpid(), (long)d.shm_nattch, d.shm_lpid);
	d.shm_perm.mode = 0400;
	R(shmctl(id, IPC_SET, &d));
	say("mode %o", stat_of(id).shm_perm.mode);
	R(shmctl(id, 99, &d));
	R(shmctl(-1, IPC_STAT, &d));
	R(shmctl(id, IPC_STAT, (void *)8));
	R(shmctl(id, IPC_RMID, NULL));
	R(shmctl(id, IPC_RMID, NULL));
	R(shmget(k, PAGE, 0));
}

static int op(int id, int num, int n, int flags) { return semop(id, &(struct sembuf){num, n, flags}, 1); }
#define GET(n) semctl(id, n, GETVAL)

TEST(sem)
{
	R(semget(IPC_PRIVATE, 0, 0600));
	R(semget(IPC_PRIVATE, 32001, 0600));
	int id = must(semget(IPC_PRIVATE, 3, 0600));
	R(op(id, 0, 2, 0));
	R(op(id, 0, -1, 0));
	R(op(id, 0, -2, IPC_NOWAIT));
	R(op(id, 0, 0, IPC_NOWAIT));
	R(op(id, 3, 1, 0));
	R(op(id, 1, 0, 0));
	R(op(id, 1, 32767, 0));
	R(op(id, 1, 1, 0));
	R(semctl(id, 2, SETVAL, 32768));
	R(semctl(id, 2, SETVAL, -1));
	R(semctl(id, 3, SETVAL, 1));
	R(semctl(id, 2, SETVAL, 7));
	R(GET(2));
	T(semctl(id, 2, GETPID) == getpid());
	// all or nothing
	struct sembuf two[] = {{2, -3, 0}, {0, -2, IPC_NOWAIT}};
	R(semop(id, two, 2));
	R(GET(2));
	two[1].sem_op = -1;
	R(semop(id, two, 2));
	R(GET(2));
	R(GET(0));
	// the same one twice
	struct sembuf same[] = {{0, 5, 0}, {0, -5, 0}, {0, 0, 0}};
	R(semop(id, same, 3));
	unsigned short all[3] = {4, 5, 6};
	R(semctl(id, 0, SETALL, all));
	memset(all, 0, sizeof all);
	R(semctl(id, 0, GETALL, all));
	say("%d %d %d", all[0], all[1], all[2]);
	R(semop(id, two, 0));
	R(semop(id, two, 501));
	R(semop(id, (void *)8, 1));
	struct timespec ts = {0, 20000000};
	R(semtimedop(id, &(struct sembuf){0, -9, 0}, 1, &ts));
	ts.tv_nsec = 1000000000;
	R(semtimedop(id, &(struct sembuf){0, -9, 0}, 1, &ts));
	struct semid_ds d;
	R(semctl(id, 0, IPC_STAT, &d));
	say("%ld semaphores, mode %o, otime %d", d.sem_nsems, d.sem_perm.mode, d.sem_otime != 0);
	R(semctl(id, 0, IPC_RMID));
	R(GET(0));
}

static void nothing(int s) {}

TEST(sem_wait)
{
	int id = must(semget(IPC_PRIVATE, 2, 0600));
	pid_t c = CHILD(R(op(id, 0, -2, 0)));
	while (semctl(id, 0, GETNCNT) == 0)
		millis(1);
	R(op(id, 0, 1, 0));
	millis(5);
	R(semctl(id, 0, GETNCNT));
	R(op(id, 0, 1, 0));
	reap("waited for 2", c);
	R(GET(0));
	must(op(id, 1, 1, 0));
	c = CHILD(R(op(id, 1, 0, 0)));
	while (semctl(id, 1, GETZCNT) == 0)
		millis(1);
	R(op(id, 1, -1, 0));
	reap("waited for 0", c);
	c = CHILD(handle(SIGUSR1, nothing, SA_RESTART); R(op(id, 0, -1, 0)));
	while (semctl(id, 0, GETNCNT) == 0)
		millis(1);
	kill(c, SIGUSR1);
	reap("interrupted", c);
	c = CHILD(R(op(id, 0, -1, 0)));
	while (semctl(id, 0, GETNCNT) == 0)
		millis(1);
	kill(c, SIGKILL);
	reap("killed", c);
	R(semctl(id, 0, GETNCNT));
	c = CHILD(R(op(id, 0, -1, 0)));
	while (semctl(id, 0, GETNCNT) == 0)
		millis(1);
	R(semctl(id, 0, IPC_RMID));
	reap("removed", c);
}

TEST(sem_undo)
{
	int id = must(semget(IPC_PRIVATE, 2, 0600));
	must(op(id, 0, 5, 0));
	reap("child", CHILD(op(id, 0, -3, SEM_UNDO); R(GET(0)); op(id, 1, 2, SEM_UNDO)));
	R(GET(0));
	R(GET(1));
	pid_t c = CHILD(op(id, 0, -5, SEM_UNDO); op(id, 1, 1, 0); pause());
	R(op(id, 1, -1, 0));
	R(GET(0));
	pid_t w = CHILD(_exit(op(id, 0, -4, 0) + 10));
	while (semctl(id, 0, GETNCNT) == 0)
		millis(1);
	kill(c, SIGKILL);
	reap("holder", c);
	reap("waiter", w);
	R(GET(0));
	reap("setval clears", CHILD(op(id, 0, 3, SEM_UNDO); semctl(id, 0, SETVAL, 9)));
	R(GET(0));
	reap("exec keeps", CHILD(op(id, 0, -2, SEM_UNDO); execl("/bin/true", "true", NULL)));
	R(GET(0));
	R(semctl(id, 0, IPC_RMID));
}

struct msg {
	long type;
	char text[100];
};

static void send(int id, long type, const char *text)
{
	struct msg m = {type};
	strcpy(m.text, text);
	if (msgsnd(id, &m, strlen(text) + 1, IPC_NOWAIT) == -1)
		say("send %ld: %s", type, errname(errno));
}

static void receive(int id, long type, size_t n, int flags)
{
	struct msg m = {0};
	long r = msgrcv(id, &m, n, type, flags);
	if (r == -1)
		say("receive %ld: %s", type, errname(errno));
	else
		say("receive %ld: %ld bytes of type %ld, %.*s", type, r, m.type, (int)r, m.text);
}

TEST(msg)
{
	int id = must(msgget(IPC_PRIVATE, 0600));
	struct msg m = {0};
	R(msgsnd(id, &m, 1, 0));
	m.type = 1;
	R(msgsnd(id, &m, 8193, 0));
	R(msgsnd(id, (void *)8, 1, 0));
	send(id, 5, "five"), send(id, 3, "three"), send(id, 7, "seven"), send(id, 3, "another three"), send(id, 1, "one");
	receive(id, 9, 100, IPC_NOWAIT);
	receive(id, 7, 2, IPC_NOWAIT);
	receive(id, 7, 2, IPC_NOWAIT | MSG_NOERROR);
	receive(id, 3, 100, 0);
	receive(id, -4, 100, 0);
	receive(id, 5, 100, MSG_EXCEPT);
	receive(id, LONG_MIN, 100, IPC_NOWAIT);
	receive(id, 0, 100, IPC_NOWAIT);
	send(id, 2, ""), send(id, 4, "copied");
	receive(id, 1, 100, MSG_COPY | IPC_NOWAIT);
	receive(id, 2, 100, MSG_COPY | IPC_NOWAIT);
	receive(id, 0, 100, MSG_COPY);
	struct msqid_ds d;
	R(msgctl(id, IPC_STAT, &d));
	say("%lu messages, %lu bytes of %lu, sender %d, receiver %d, mode %o", d.msg_qnum, d.__msg_cbytes, d.msg_qbytes, d.msg_lspid == getpid(), d.msg_lrpid == getpid(), d.msg_perm.mode);
	d.msg_qbytes = 30;
	R(msgctl(id, IPC_SET, &d));
	send(id, 1, "twenty-three characters");
	send(id, 1, "more");
	pid_t c = CHILD(struct msg m = {8, "waited"}; R(msgsnd(id, &m, 7, 0)));
	millis(20);
	receive(id, 0, 100, 0), receive(id, 0, 100, 0), receive(id, 0, 100, 0);
	receive(id, 8, 100, 0);
	reap("sender", c);
	c = CHILD(receive(id, 1, 100, 0));
	millis(20);
	R(msgctl(id, IPC_RMID, NULL));
	reap("receiver", c);
	R(msgctl(id, IPC_RMID, NULL));
}

TEST(msg_restart)
{
	int id = must(msgget(IPC_PRIVATE, 0600));
	pid_t c = CHILD(handle(SIGUSR1, nothing, SA_RESTART); receive(id, 0, 100, 0));
	millis(30);
	kill(c, SIGUSR1);
	reap("interrupted", c);
	R(msgctl(id, IPC_RMID, NULL));
}

TEST(permissions)
{
	int shm = must(shmget(IPC_PRIVATE, PAGE, 0600)), sem = must(semget(IPC_PRIVATE, 1, 0644)), msg = must(msgget(IPC_PRIVATE, 0622));
	if (geteuid() == 0) {
		pid_t c = CHILD(
			must(setgid(4242)); must(setuid(4242));
			R((long)shmat(shm, NULL, SHM_RDONLY));
			R(semctl(sem, 0, GETVAL));
			R(op(sem, 0, 1, 0));
			send(msg, 1, "allowed");
			receive(msg, 0, 100, IPC_NOWAIT);
			R(shmctl(shm, IPC_RMID, NULL)); R(semctl(sem, 0, IPC_RMID)); R(msgctl(msg, IPC_RMID, NULL)));
		reap("another user", c);
	}
	R(shmctl(shm, IPC_RMID, NULL));
	R(semctl(sem, 0, IPC_RMID));
	R(msgctl(msg, IPC_RMID, NULL));
}
