/* remote_fault - the plan: which call is spoilt, and how. */
#include "remote_fault_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/lock.h"

struct rule {
	enum fault_op op;
	enum fault_kind kind;
	int error;
	uint64_t from, to; /* calls, counted per op; 0, 0: by rate */
	unsigned per_million;
};

struct fault_plan {
	struct mutex lock;
	struct rule rules[FAULT_RULES_MAX] GUARDED_BY(lock);
	size_t n GUARDED_BY(lock);
	uint64_t random GUARDED_BY(lock);
	uint64_t calls[FAULT_OPS] GUARDED_BY(lock);
	uint64_t carried[FAULT_OPS] GUARDED_BY(lock);
	uint64_t injected[FAULT_KINDS] GUARDED_BY(lock);
	bool paused GUARDED_BY(lock), spare_after GUARDED_BY(lock);
	enum fault_op during GUARDED_BY(lock);
	void (*meanwhile)(void *arg) GUARDED_BY(lock);
	void *arg GUARDED_BY(lock);
	enum fault_kind (*gate)(void *arg, enum fault_op op) GUARDED_BY(lock);
	void *gate_arg GUARDED_BY(lock);
};

struct fault_plan *fault_plan_create(uint64_t seed)
{
	struct fault_plan *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	mutex_init(&p->lock);
	mutex_lock(&p->lock);
	p->random = seed;
	mutex_unlock(&p->lock);
	return p;
}

void fault_plan_destroy(struct fault_plan *p)
{
	mutex_destroy(&p->lock);
	free(p);
}

static void add_rule(struct fault_plan *p, struct rule rule)
{
	mutex_lock(&p->lock);
	if (p->n == FAULT_RULES_MAX)
		abort();
	if (rule.to) {
		rule.from += p->calls[rule.op];
		rule.to += p->calls[rule.op];
	}
	p->rules[p->n++] = rule;
	mutex_unlock(&p->lock);
}

void fault_nth(struct fault_plan *p, enum fault_op op, enum fault_kind kind, int error,
	       uint64_t nth, uint64_t count)
{
	add_rule(p, (struct rule){
			    .op = op,
			    .kind = kind,
			    .error = error,
			    .from = nth,
			    .to = nth + count,
		    });
}

void fault_rate(struct fault_plan *p, enum fault_op op, enum fault_kind kind, int error,
		unsigned per_million)
{
	add_rule(p, (struct rule){
			    .op = op,
			    .kind = kind,
			    .error = error,
			    .per_million = per_million,
		    });
}

void fault_clear(struct fault_plan *p)
{
	mutex_lock(&p->lock);
	p->n = 0;
	mutex_unlock(&p->lock);
}

void fault_pause(struct fault_plan *p, bool on)
{
	mutex_lock(&p->lock);
	p->paused = on;
	mutex_unlock(&p->lock);
}

void fault_reseed(struct fault_plan *p, uint64_t seed)
{
	mutex_lock(&p->lock);
	p->random = seed;
	mutex_unlock(&p->lock);
}

void fault_spare_after(struct fault_plan *p, bool on)
{
	mutex_lock(&p->lock);
	p->spare_after = on;
	mutex_unlock(&p->lock);
}

void fault_meanwhile(struct fault_plan *p, enum fault_op op, void (*fn)(void *arg), void *arg)
{
	mutex_lock(&p->lock);
	p->during = op;
	p->meanwhile = fn;
	p->arg = arg;
	mutex_unlock(&p->lock);
}

void fault_gate(struct fault_plan *p, enum fault_kind (*gate)(void *arg, enum fault_op op),
		void *arg)
{
	mutex_lock(&p->lock);
	p->gate = gate;
	p->gate_arg = arg;
	mutex_unlock(&p->lock);
}

/* splitmix64 */
static uint64_t random_locked(struct fault_plan *p) REQUIRES(p->lock)
{
	uint64_t z = p->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t fault_random(struct fault_plan *p)
{
	uint64_t z;

	mutex_lock(&p->lock);
	z = random_locked(p);
	mutex_unlock(&p->lock);
	return z;
}

static bool applies_locked(struct fault_plan *p, const struct rule *r, enum fault_op op)
	REQUIRES(p->lock)
{
	if (r->op != op || (r->kind == FAULT_AFTER && p->spare_after))
		return false;
	if (r->to)
		return p->calls[op] >= r->from && p->calls[op] < r->to;
	return random_locked(p) % 1000000 < r->per_million;
}

struct verdict fault_judge(struct fault_plan *p, enum fault_op op)
{
	struct verdict v = {FAULT_KINDS, 0};
	void (*meanwhile)(void *arg) = NULL;
	void *arg;

	mutex_lock(&p->lock);
	p->calls[op]++;
	enum fault_kind (*gate)(void *arg, enum fault_op op) = p->gate;
	void *gate_arg = p->gate_arg;
	arg = p->arg;
	if (op == p->during) {
		meanwhile = p->meanwhile;
		p->meanwhile = NULL;
	}
	for (size_t i = 0; i < p->n && !p->paused && v.kind == FAULT_KINDS; i++)
		if (applies_locked(p, &p->rules[i], op)) {
			v = (struct verdict){p->rules[i].kind, p->rules[i].error};
			p->injected[v.kind]++;
		}
	mutex_unlock(&p->lock);
	if (meanwhile)
		meanwhile(arg);
	enum fault_kind said = gate ? gate(gate_arg, op) : FAULT_KINDS;
	if (said != FAULT_KINDS)
		return (struct verdict){said, -ECONNRESET};
	if (v.kind == FAULT_DELAY)
		nanosleep(&(struct timespec){.tv_nsec = FAULT_DELAY_NS}, NULL);
	return v;
}

void fault_count_carried(struct fault_plan *p, enum fault_op op)
{
	mutex_lock(&p->lock);
	p->carried[op]++;
	mutex_unlock(&p->lock);
}

uint64_t fault_calls(struct fault_plan *p, enum fault_op op)
{
	uint64_t n;

	mutex_lock(&p->lock);
	n = p->calls[op];
	mutex_unlock(&p->lock);
	return n;
}

uint64_t fault_carried(struct fault_plan *p, enum fault_op op)
{
	uint64_t n;

	mutex_lock(&p->lock);
	n = p->carried[op];
	mutex_unlock(&p->lock);
	return n;
}

uint64_t fault_injected(struct fault_plan *p, enum fault_kind kind)
{
	uint64_t n;

	mutex_lock(&p->lock);
	n = p->injected[kind];
	mutex_unlock(&p->lock);
	return n;
}

uint64_t fault_total(struct fault_plan *p)
{
	return fault_injected(p, FAULT_BEFORE) + fault_injected(p, FAULT_AFTER) +
	       fault_injected(p, FAULT_DIE) + fault_injected(p, FAULT_NOSPACE);
}

const char *fault_kind_name(enum fault_kind kind)
{
	static const char *const names[FAULT_KINDS] = {
		"before", "after", "short", "stale", "die", "nospace", "delay",
	};

	return names[kind];
}
