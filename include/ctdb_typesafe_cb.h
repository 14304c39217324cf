/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Callbacks without casts: a function whose last (or first) parameter has the type of the argument that it is
 * registered with is converted to the type with void * there; any other function is left as it is, so the compiler
 * complains about it. Where a compiler cannot compare types, and in C++, everything is converted.
 */
#ifndef CCAN_CAST_IF_TYPE_H
#define CCAN_CAST_IF_TYPE_H

/* expr as a desttype if test has the type oktype, otherwise expr. */
#if defined(__GNUC__) && !defined(__cplusplus)
#define cast_if_type(desttype, expr, test, oktype)                                                  \
	__builtin_choose_expr(__builtin_types_compatible_p(__typeof__(0 ? (test) : (test)), oktype), \
			      (desttype)(expr), (expr))
#else
#define cast_if_type(desttype, expr, test, oktype) ((desttype)(expr))
#endif

/* The same for three types. */
#define cast_if_any(desttype, expr, test, ok1, ok2, ok3)                                              \
	cast_if_type(desttype,                                                                         \
		     cast_if_type(desttype, cast_if_type(desttype, (expr), (test), ok1), (test), ok2), \
		     (test), ok3)

/* rtype fn(T), to be called with arg, which is a T. */
#define typesafe_cb(rtype, fn, arg) \
	cast_if_type(rtype (*)(void *), (fn), (fn), rtype (*)(__typeof__(arg)))

/* rtype fn(const T *), to be called with arg, which is a T *. */
#define typesafe_cb_const(rtype, fn, arg) \
	cast_if_type(rtype (*)(const void *), (fn), (fn), rtype (*)(const __typeof__(*(arg)) *))

/* rtype fn(..., T), to be called with arg, which is a T. The other parameters' types come last here. */
#define typesafe_cb_preargs(rtype, fn, arg, ...) \
	cast_if_type(rtype (*)(__VA_ARGS__, void *), (fn), (fn), rtype (*)(__VA_ARGS__, __typeof__(arg)))

/* rtype fn(T, ...), the other way round. */
#define typesafe_cb_postargs(rtype, fn, arg, ...) \
	cast_if_type(rtype (*)(void *, __VA_ARGS__), (fn), (fn), rtype (*)(__typeof__(arg), __VA_ARGS__))

/* rtype fn(const T *, const T *), which compares elements; arg is a T *. */
#define typesafe_cb_cmp(rtype, cmpfn, arg)                                          \
	cast_if_type(rtype (*)(const void *, const void *), (cmpfn), (cmpfn),        \
		     rtype (*)(const __typeof__(*(arg)) *, const __typeof__(*(arg)) *))

#endif /* CCAN_CAST_IF_TYPE_H */
