// hls.js, loaded when it is needed for the first time, and how it is set up here.

const source = window.ManagedMediaSource || window.MediaSource;

/** Whether the browser's own HLS player is the one to use: only where hls.js cannot work. */
export function native() {
  return !source && document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== '';
}

let loading = null;
let tries = 0;
/** The class Hls; null where hls.js cannot work. */
export function library() {
  if (!source) return Promise.resolve(null);
  // A browser remembers a module that it could not fetch; under another address it asks again.
  loading ||= import(tries === 0 ? './hls.js' : `./hls.js?${tries}`).then((module) => module.default, (e) => {
    loading = null;
    tries += 1;
    throw e;
  });
  return loading;
}

const retries = (maxNumRetry, retryDelayMs) => ({ maxNumRetry, retryDelayMs, maxRetryDelayMs: 2000, backoff: 'linear' });
const policy = (maxTimeToFirstByteMs, maxLoadTimeMs, number) => ({
  default: { maxTimeToFirstByteMs, maxLoadTimeMs, timeoutRetry: retries(number, 0), errorRetry: retries(number, 200) },
});

/** Without low latency a playlist is what it was before there were parts: nothing is held. */
function plain(text) {
  return text.split('\n').filter((line) => !/^#EXT-X-(PART|PART-INF|PRELOAD-HINT|SERVER-CONTROL|RENDITION-REPORT|SKIP)\b/.test(line)).join('\n');
}

function plainLoader(Loader) {
  return class extends Loader {
    load(context, config, callbacks) {
      super.load(context, config, {
        ...callbacks,
        onSuccess: (response, ...rest) => {
          if (typeof response.data === 'string') response.data = plain(response.data);
          callbacks.onSuccess(response, ...rest);
        },
      });
    }
  };
}

/** One player. Whatever ends it is for the HlsSession to repeat; retries here are few and short. */
export function createHls(Hls, lowLatency) {
  return new Hls({
    lowLatencyMode: lowLatency,
    ...(lowLatency ? {} : { pLoader: plainLoader(Hls.DefaultConfig.loader) }),
    enableWorker: false, // the page's policy has no place for blob scripts, and one stream is little work
    backBufferLength: lowLatency ? 60 : 5, // sessions last for days
    maxBufferLength: 20,
    liveDurationInfinity: true,
    liveSyncOnStallIncrease: 0.2,
    // The first request may have to wait for an on-demand source to start.
    manifestLoadPolicy: policy(35000, 40000, 0),
    // A young playlist, which lists no whole segment yet, is empty to hls.js.
    playlistLoadPolicy: policy(35000, 40000, 30),
    fragLoadPolicy: policy(10000, 30000, 2),
    testBandwidth: false,
    enableInterstitialPlayback: false,
    enableDateRangeMetadataCues: false,
    enableEmsgMetadataCues: false,
    enableID3MetadataCues: false,
  });
}
