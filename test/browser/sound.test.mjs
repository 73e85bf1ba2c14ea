// Each page of the target is sound, whatever texts it has.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { accessible, launch, open, target, tooWide } from './harness.mjs';

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });

const pages = Object.entries(target.pages);

for (const [scheme, width] of [['light', 1280], ['dark', 390]]) {
  test(`pages in ${scheme}, ${width} px wide`, async (t) => {
    const page = await open(browser, { colorScheme: scheme, viewport: { width, height: 800 } });
    for (const [name, path] of pages) {
      await t.test(name, async () => {
        await page.tab.goto(path);
        await accessible(page.tab, name);
        assert.deepEqual(await tooWide(page.tab), [], 'elements that are too wide');
        assert.deepEqual(await broken(page.tab), [], 'uptimes and headings that are broken into two lines');
      });
    }
    await page.close();
  });
}

test('pages without scripts', async (t) => {
  const page = await open(browser, { javaScriptEnabled: false });
  for (const [name, path] of pages) {
    await t.test(name, async () => {
      await page.tab.goto(path);
      assert.equal(await page.tab.locator('h1').count(), 1);
      assert.equal(await page.tab.locator('button[data-copy]:visible').count(), 0, 'buttons that need the script');
      assert.doesNotMatch(await page.tab.locator('main').innerText(), /undefined|NaN|\bnull\b/);
    });
  }
  await page.close();
});

test('pages on paper', async (t) => {
  const page = await open(browser);
  await page.tab.emulateMedia({ media: 'print', colorScheme: 'dark' });
  for (const [name, path] of pages) {
    await t.test(name, async () => {
      await page.tab.goto(path);
      const shown = await page.tab.evaluate(() => ({
        ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
        buttons: [...document.querySelectorAll('button, .filters')].filter((e) => e.checkVisibility()).length,
      }));
      assert.deepEqual(shown, { ground: 'rgb(255, 255, 255)', ink: 'rgb(0, 0, 0)', buttons: 0 });
      assert.deepEqual(await unreadable(page.tab), [], 'texts with too little contrast on white paper');
    });
  }
  await page.close();
});

/** broken are the uptimes and the headings of tables that stand on more than one line. */
function broken(tab) {
  return tab.locator('.up span, th').evaluateAll((all) => all.filter((e) => {
    const text = document.createRange();
    text.selectNodeContents(e);
    return new Set([...text.getClientRects()].map((box) => Math.round(box.bottom / 6))).size > 1;
  }).map((e) => e.textContent));
}

/** unreadable are the texts whose contrast with what is behind them is less than 4.5 to 1. */
function unreadable(tab) {
  return tab.evaluate(() => {
    const parts = (color) => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    const found = [];
    for (const e of document.querySelectorAll('main *')) {
      if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()) || e.closest('svg')) continue;
      const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 40)} ${getComputedStyle(e).color}`);
    }
    return found.slice(0, 5);
  });
}
