// policy/shape_fill.h: for tests. A policy with something in every field, and one change at a time to it.
//
// Driven by the tables of shape.h, so that a new field is filled and changed without a word here.
#pragma once
#include "policy/shape.h"

// Every string and number is another one; every list has two items.
static inline bool fill_value(struct value *v, struct arena *a, unsigned *n)
{
    static const enum value_kind kinds[] = {VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST};
    *v = (struct value){.kind = VALUE_MAP, .n = ARRAY_LEN(kinds)};
    v->items = arena_newn(a, struct value, v->n);
    v->keys = arena_newn(a, struct str, v->n);
    struct value *inner = arena_new(a, struct value);
    if (!v->items || !v->keys || !inner)
        return false;
    *inner = (struct value){.kind = VALUE_NUMBER, .number = 0.5};
    for (size_t i = 0; i < v->n; i++) {
        v->items[i] = (struct value){.kind = kinds[i], .number = 3, .string = STR("text")};
        if (kinds[i] == VALUE_LIST) {
            v->items[i].items = inner;
            v->items[i].n = 1;
        }
        if (!arena_fmt(a, &v->keys[i], "k%u", ++*n))
            return false;
    }
    return true;
}

static inline bool fill(const struct shape *s, void *object, struct arena *a, unsigned *n)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct shape_field *f = &s->fields[i];
        char *at = (char *)object + f->at;
        uint32_t number = 1000 + ++*n;
        struct str text;
        char *items = NULL;
        switch (f->kind) {
        case SHAPE_STR:
            if (!arena_fmt(a, &text, "/s%u", *n))
                return false;
            memcpy(at, &text, sizeof(text));
            break;
        case SHAPE_BOOL:
            *at = 1;
            break;
        case SHAPE_U32:
            if (strstr(f->name, "mcp.")) // a tristate
                number = strstr(f->name, "strict") ? NO : YES;
            memcpy(at, &number, sizeof(number));
            break;
        case SHAPE_VALUE:
            if (!fill_value((void *)at, a, n))
                return false;
            break;
        case SHAPE_LIST:
        case SHAPE_MAP:
            items = arena_array(a, 2, f->of->size);
            if (!items || !fill(f->of, items, a, n) || !fill(f->of, items + f->of->size, a, n))
                return false;
            *(char **)(void *)at = items;
            *(size_t *)(void *)((char *)object + f->n_at) = 2;
            break;
        }
    }
    return true;
}

static inline bool change_value(struct value *v, size_t *left)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->kind == VALUE_MAP && (*left)-- == 0) {
            v->keys[i] = STR("other");
            return true;
        }
        if (change_value(&v->items[i], left))
            return true;
    }
    if ((*left)-- != 0)
        return false;
    if (v->kind == VALUE_NULL) {
        v->kind = VALUE_BOOL;
    } else {
        v->boolean = !v->boolean;
        v->number++;
        v->string = STR("other");
        v->n -= v->n > 0;
    }
    return true;
}

// Changes the field number *left, in the order of the tables; *ret_name is its name. False: there are fewer.
static inline bool change(const struct shape *s, void *object, size_t *left, const char **ret_name)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct shape_field *f = &s->fields[i];
        char *at = (char *)object + f->at, *items = NULL;
        size_t n = 0;
        bool is_list = f->kind == SHAPE_LIST || f->kind == SHAPE_MAP;
        if (is_list) {
            memcpy(&items, at, sizeof(items));
            memcpy(&n, (char *)object + f->n_at, sizeof(n));
        }
        for (size_t k = 0; k < n; k++)
            if (change(f->of, items + k * f->of->size, left, ret_name))
                return true;
        *ret_name = f->name;
        if (f->kind == SHAPE_VALUE) {
            if (change_value((void *)at, left))
                return true;
            continue;
        }
        if ((*left)-- != 0)
            continue;
        uint32_t number;
        memcpy(&number, at, f->kind == SHAPE_U32 ? sizeof(number) : 0);
        if (f->kind == SHAPE_STR) {
            *(struct str *)(void *)at = STR("/other");
        } else if (f->kind == SHAPE_BOOL) {
            *at = !*at;
        } else if (f->kind == SHAPE_U32) {
            number = strstr(f->name, "mcp.") ? UNSET : number + 1;
            memcpy(at, &number, sizeof(number));
        } else {
            n--;
            memcpy((char *)object + f->n_at, &n, sizeof(n));
        }
        return true;
    }
    return false;
}

// Turns the order of the items round, of all maps or of the `which`-th list.
static inline void reverse(const struct shape *s, void *object, enum shape_kind kind, size_t *which)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct shape_field *f = &s->fields[i];
        if (f->kind != SHAPE_LIST && f->kind != SHAPE_MAP)
            continue;
        char *items, swap[512];
        memcpy(&items, (char *)object + f->at, sizeof(items));
        size_t size = f->of->size;
        assert(size <= sizeof(swap));
        reverse(f->of, items, kind, which);
        reverse(f->of, items + size, kind, which);
        if (f->kind == kind && (kind == SHAPE_MAP || (*which)-- == 0)) {
            memcpy(swap, items, size);
            memcpy(items, items + size, size);
            memcpy(items + size, swap, size);
        }
    }
}
