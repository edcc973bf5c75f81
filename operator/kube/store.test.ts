import { beforeEach, describe, expect, test } from '@jest/globals';
import { createStore, type StoreChange, type WritableStore } from './store.ts';
import { widget, type Widget } from './testing/scripted-server.ts';

let store: WritableStore<Widget>;
let changes: string[];

beforeEach(() => {
  store = createStore<Widget>({ size: object => [String(object.spec?.size)] });
  changes = [];
  store.subscribe(change =>
    changes.push(`${change.type} ${change.key}@${change.object.metadata.resourceVersion}`),
  );
});

function listed(...objects: Widget[]): Map<string, Widget> {
  return new Map(objects.map(object => [`ns/${object.metadata.name}`, object]));
}

function names(objects: Widget[]): string[] {
  return objects.map(object => object.metadata.name).sort();
}

describe('indexes', () => {
  test('follow every change', () => {
    store.put(widget('a', 1, 5));
    store.put(widget('b', 2, 5));
    expect(names(store.byIndex('size', '5'))).toEqual(['a', 'b']);
    store.put(widget('a', 3, 6));
    expect(names(store.byIndex('size', '5'))).toEqual(['b']);
    expect(names(store.byIndex('size', '6'))).toEqual(['a']);
    store.remove('ns/a', '4');
    expect(store.byIndex('size', '6')).toEqual([]);
    store.replace(listed(widget('c', 5, 5)), '5');
    expect(names(store.byIndex('size', '5'))).toEqual(['c']);
  });

  test('an index that was never declared is a bug, not an empty answer', () => {
    expect(() => store.byIndex('colour', 'red')).toThrow('no index colour');
  });
});

describe('subscribers', () => {
  test('hear of each change once, and no more after they left', () => {
    const seen: StoreChange<Widget>[] = [];
    const leave = store.subscribe(change => seen.push(change));
    store.put(widget('a', 1, 1));
    store.put(widget('a', 2, 2));
    store.remove('ns/a', '3');
    leave();
    store.put(widget('b', 4));
    expect(seen.map(change => [change.type, change.previous?.spec?.size])).toEqual([
      ['added', undefined],
      ['updated', 1],
      ['deleted', undefined],
    ]);
  });

  test('one that throws keeps neither the change nor the others from happening', () => {
    const failures: unknown[] = [];
    const robust = createStore<Widget>({}, { onListenerError: error => failures.push(error) });
    const seen: string[] = [];
    robust.subscribe(() => {
      throw new Error('bug');
    });
    robust.subscribe(change => seen.push(change.key));
    robust.put(widget('a', 1));
    expect(robust.get('ns/a')).toBeDefined();
    expect(seen).toEqual(['ns/a']);
    expect(failures).toHaveLength(1);
  });
});

describe('replace', () => {
  test('adds, updates and deletes by what the list has, and is silent about what is the same', () => {
    for (const object of [widget('same', 1), widget('changed', 2), widget('gone', 3)]) store.put(object);
    changes.length = 0;
    store.beginReplace();
    store.replace(listed(widget('same', 1), widget('changed', 5), widget('new', 6)), '7');
    expect(changes.sort()).toEqual(['added ns/new@6', 'deleted ns/gone@3', 'updated ns/changed@5']);
  });

  test('takes over lower resource versions: a restored etcd counts from there', () => {
    store.put(widget('a', 100, 1));
    store.beginReplace();
    store.replace(listed(widget('a', 50, 2)), '60');
    expect(store.get('ns/a')?.spec?.size).toBe(2);
  });

  test('keeps what was remembered while the list was on its way and is newer than it', () => {
    store.put(widget('a', 1, 1));
    store.beginReplace();
    store.remember(widget('a', 12, 2));
    store.remember(widget('created', 11));
    store.replace(listed(widget('a', 9, 1)), '10');
    expect(store.get('ns/a')?.spec?.size).toBe(2);
    expect(store.get('ns/created')).toBeDefined();
  });

  test('drops what was remembered before the list began and is not on it', () => {
    store.remember(widget('a', 12));
    store.beginReplace();
    store.replace(listed(), '20');
    expect(store.size).toBe(0);
  });

  test('of one namespace leaves the others alone, also while their lists are under way', () => {
    const other: Widget = { ...widget('a', 3), metadata: { ...widget('a', 3).metadata, namespace: 'other' } };
    store.put(widget('a', 1));
    store.beginReplace('ns');
    store.beginReplace('other');
    store.remember(widget('created', 12));
    store.replace(new Map([['other/a', other]]), '10', 'other');
    store.replace(listed(widget('b', 5)), '11', 'ns');
    expect([...store.keys()].sort()).toEqual(['ns/b', 'ns/created', 'other/a']);
  });
});

describe('remember', () => {
  test('an own write is seen at once, and the event that tells of it changes nothing', () => {
    store.put(widget('a', 1, 1));
    store.remember(widget('a', 2, 2));
    expect(store.get('ns/a')?.spec?.size).toBe(2);
    changes.length = 0;
    store.put(widget('a', 2, 2));
    expect(changes).toEqual([]);
  });

  test('an older copy than the stored one is ignored', () => {
    store.put(widget('a', 5, 5));
    store.remember(widget('a', 4, 4));
    expect(store.get('ns/a')?.spec?.size).toBe(5);
  });

  test('an older event than the remembered copy is ignored', () => {
    store.remember(widget('a', 5, 5));
    store.put(widget('a', 4, 4));
    expect(store.get('ns/a')?.spec?.size).toBe(5);
  });

  test('a copy that was read before the deletion does not bring the object back', () => {
    store.put(widget('a', 1));
    store.remove('ns/a', '3');
    store.remember(widget('a', 2));
    expect(store.get('ns/a')).toBeUndefined();
  });

  test('the deletion of a former object leaves the one that was made anew', () => {
    store.put(widget('a', 1));
    store.remember(widget('a', 4, 4));
    store.remove('ns/a', '3');
    expect(store.get('ns/a')?.spec?.size).toBe(4);
  });

  test('an object made anew after its deletion is taken in', () => {
    store.put(widget('a', 1));
    store.remove('ns/a', '3');
    store.remember(widget('a', 4));
    expect(store.get('ns/a')).toBeDefined();
  });
});
