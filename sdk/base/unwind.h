/* SPDX-License-Identifier: Apache-2.0 */
/* For functions that the application's code may leave by an exception of C++: it goes through the library's frames to whoever
 * called it, and what they hold is let go on the way. */
#ifndef HEARTH_BASE_UNWIND_H
#define HEARTH_BASE_UNWIND_H

/* Before a variable: `function` gets its address when the variable goes, be it by return or by an exception. Only files that
 * are compiled with -fexceptions keep the second half of that. */
#define HEARTH__AT_END(function) __attribute__((cleanup(function)))

#endif
