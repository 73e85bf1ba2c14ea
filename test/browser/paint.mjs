// Measures how the browser loads the overview: each time without a cache, the first time also without what the server remembers.
import { launch, open, target } from './harness.mjs';

const browser = await launch();
const loads = [];
for (let i = 0; i <= target.loads; i++) {
  const page = await open(browser);
  await page.tab.goto('/', { waitUntil: 'load' });
  await page.tab.locator('#connection').getByText('(live)').waitFor();
  loads.push(await page.tab.evaluate(async () => {
    const paint = performance.getEntriesByName('first-contentful-paint')[0] ?? await new Promise((resolve) => {
      new PerformanceObserver((list) => { const found = list.getEntriesByName('first-contentful-paint')[0]; if (found) resolve(found); }).observe({ type: 'paint', buffered: true });
    });
    const [load] = performance.getEntriesByType('navigation');
    return {
      paint: paint.startTime, answer: load.responseEnd - load.requestStart, loaded: load.loadEventEnd, sent: load.encodedBodySize, size: load.decodedBodySize,
      assets: performance.getEntriesByType('resource').filter((e) => e.name.includes('/assets/')).reduce((sum, e) => sum + e.encodedBodySize, 0),
      rows: document.querySelectorAll('[data-key]').length, bars: document.querySelectorAll('#list .bar').length,
    };
  }));
  await page.close();
}
await browser.close();
console.log(JSON.stringify(loads));
