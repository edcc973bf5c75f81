// Preloaded by entry.mjs: when it dies without being able to pass a signal on, the channel to it closes.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
