/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor that can be polled: readable from a raise to a clear (eventfd(2)). Any thread. */
#ifndef HEARTH_BASE_EVENT_FD_H
#define HEARTH_BASE_EVENT_FD_H

/* Closed on exec; nothing on it blocks. -1: there is none. */
int hearth__event_fd_open(void);

/* -1 is allowed in all three. */
void hearth__event_fd_raise(int fd);
void hearth__event_fd_clear(int fd);
void hearth__event_fd_close(int fd);

#endif
