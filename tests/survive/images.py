"Image files, compared with a conversion of its own: Pillow on the bytes, then plain numpy"
import io
import itertools
import os
import struct
import warnings
import zlib
from pathlib import Path

from . import kit
from .common import FINE, Case, Verdict, of_command, of_exception
from .materials import picture

MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'LAB', 'HSV', 'I', 'I;16', 'F', 'La', 'RGBX')
FORMATS = ('png', 'tiff', 'jpeg', 'gif', 'webp', 'bmp', 'ppm', 'tga', 'ico', 'jpeg2000', 'pcx')
OPTIONS = dict(tiff=({}, {'compression': 'tiff_lzw'}, {'compression': 'tiff_adobe_deflate'},
                     {'compression': 'packbits'}),
               jpeg=({'quality': 90}, {'quality': 60, 'progressive': True}), webp=({'lossless': True},))
SIZES = ((16, 16), (1, 1), (17, 23), (6, 4), (40, 31), (16, 64), (3, 50), (64, 16), (33, 32), (1, 40))
BROKEN = ('broken eXIf', 'text of 3 MB', 'profile of 3 MB', 'wrong CRC in a text', 'wrong CRC in the pixels', 'cut',
          'cut in the header', 'bytes after the end', 'no end', 'empty', 'a text file', '1 x 20000', '20000 x 1',
          '1 x 1000000',
          'many frames', 'grey 16 bits with a transparent level', 'a header of 10^9 pixels', 'HEIC', 'AVIF', 'SVG',
          'EXIF orientation 9', 'EXIF orientation 0', 'a palette of two', 'an interlaced one')
FOLDERS = ('a FIFO', 'a link to nowhere', 'links in a circle', 'a name that is not UTF-8', 'a hidden file',
           'an empty file',
           'a text file', 'a socket', 'a device', 'a link to a FIFO', 'train and validation', 'train and test',
           'a broken image',
           'names with signs', 'a folder called x.png', '12 bits in 16', 'floats to 4000', 'Hounsfield numbers',
           'one image',
           'a link to the folder itself', 'an unreadable name of 255 letters')


def cases(rng):
    "Modes, formats, orientations and sizes at random, and odd folders and broken files among them"
    odd = [('folder', what) for what in FOLDERS] + [('broken', what) for what in BROKEN]
    rng.shuffle(odd)
    for number in itertools.count():
        if odd:
            kind, what = odd.pop()
            yield Case(f'{kind}: {what}', {kind: what})
        data = dict(mode=rng.choice(MODES), format=rng.choice(FORMATS[:2] * 3 + FORMATS), size=rng.choice(SIZES),
                    orientation=rng.choice((None, None, 1, 2, 3, 4, 5, 6, 7, 8)), seed=rng.randrange(10**6),
                    channels=rng.choice((1, 3)), transparent=rng.random() < .3)
        data['options'] = rng.choice(OPTIONS.get(data['format'], ({},)))
        told = ' '.join(f'{key}={data[key]}' for key in ('mode', 'format', 'size', 'orientation', 'channels',
                                                         'options'))
        yield Case(f'{number}: {told}', data)


def judge(case, given):
    warnings.simplefilter('ignore')
    if 'folder' in case.data: return _folder(case.data['folder'])
    if 'broken' in case.data: return _broken(case.data['broken'])
    return _converted(**case.data)


def _converted(mode, format, size, orientation, seed, channels, transparent, options):
    "By path and as bytes the same as the conversion"
    content = _encoded(mode, format, size, orientation, seed, transparent, options)
    if content is None: return Verdict('fine', 'Pillow does not write this')
    Path('image').write_bytes(content)
    cfg = kit.config(model=dict(image_channels=channels)).model
    expected = reference(content, cfg.size, channels)
    for read, what in ((kit.load_image, 'image'), (kit.read_image, content)):
        try:
            found = read(what, cfg)[0].mul(255).round().int().numpy()
        except Exception as error:
            verdict = of_exception(error)
            if expected is None or verdict.result != 'fine': return verdict
            return Verdict('unsaid', f'{read.__name__} refuses what can be read: {verdict.words}', read.__name__)
        if expected is None: return Verdict('unsaid', f'{read.__name__} takes what can not be read', read.__name__)
        off, (w, h) = abs(found - expected).max(), size
        if off > (1 if max(w, h) < 8 * min(w, h) else 60):
            return Verdict('unsaid', f'{read.__name__} is off by {off} levels', read.__name__)
    return FINE


def _encoded(mode, format, size, orientation, seed, transparent, options):
    "The bytes of a file, None where Pillow has no such kind"
    import numpy as np
    from PIL import Image
    rng = np.random.default_rng(seed)
    rgb = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    tags = Image.Exif()
    if orientation: tags[0x0112] = orientation
    options = dict(options, exif=tags) if orientation else dict(options)
    if transparent and mode in ('L', 'P', 'RGB', 'I;16', '1') and format == 'png':
        options['transparency'] = (3, 4, 5) if mode == 'RGB' else 1
    file = io.BytesIO()
    try:
        _in_mode(rgb, mode, rng).save(file, format, **options)
    except (OSError, ValueError, KeyError, TypeError, SystemError, AttributeError):
        return None
    return file.getvalue()


def _in_mode(rgb, mode, rng):
    import numpy as np
    from PIL import Image, ImageCms
    w, h = rgb.size
    if mode == 'I;16': return Image.fromarray(rng.integers(0, 2**16, (h, w), np.uint16))
    if mode == 'I': return Image.fromarray(rng.integers(0, 2**16, (h, w), np.int32))
    if mode == 'F': return Image.fromarray((rng.random((h, w)) * (1, 255)[h % 2]).astype(np.float32))
    if mode == 'LAB': return ImageCms.profileToProfile(rgb, ImageCms.createProfile('sRGB'),
                                                       ImageCms.createProfile('LAB'),
                                                       outputMode='LAB')
    if mode in ('RGBA', 'LA', 'PA', 'La'):
        rgb.putalpha(Image.fromarray(rng.integers(0, 256, (h, w), np.uint8)))
        if mode == 'La': return rgb.convert('LA').convert('La')
    return rgb.convert('LA').convert('PA') if mode == 'PA' else rgb.convert(mode)


def reference(content, size, channels):
    "int (C, H, W) from the bytes of a file, None where Pillow can't read them"
    import numpy as np
    from PIL import Image
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception:
        return None
    turn = image.getexif().get(0x0112, 1)
    upright = _turned(_rgb(image), turn)
    small = _covering(Image.fromarray(np.ascontiguousarray(upright)), size)
    v = np.asarray(small).astype(np.int64).transpose(2, 0, 1)
    if channels == 3: return v
    return (19595 * v[0] + 38470 * v[1] + 7471 * v[2] + 32768 >> 16)[None]


def _rgb(image):
    "uint8 (H, W, 3), transparency over white"
    import numpy as np
    from PIL import Image
    v = np.asarray(image).astype(float)
    if image.mode[0] in 'IF':
        level = image.info.get('transparency')
        seen = np.zeros(v.shape, bool) if level is None else v == level
        v = v / 257 if image.mode[0] == 'I' else v * 255 if np.nanmax(v) <= 1 else v
        grey = np.clip(v + .5, 0, 255).astype(np.uint8)
        return np.where(seen, np.uint8(255), grey)[..., None].repeat(3, -1)
    if 'A' not in image.mode and 'a' not in image.mode and 'transparency' not in image.info:
        return np.asarray(image.convert('RGB'))
    if image.mode == 'LAB': return np.asarray(image.convert('RGB'))
    rgba = image.convert('RGBA')
    return np.asarray(Image.alpha_composite(Image.new('RGBA', image.size, 'white'), rgba).convert('RGB'))


def _turned(v, turn):
    "As EXIF says"
    if turn in (5, 6, 7, 8): v = v.transpose(1, 0, 2)
    if turn in (2, 3, 6, 7): v = v[:, ::-1]
    if turn in (3, 4, 7, 8): v = v[::-1]
    return v


def _covering(image, size):
    "Short side to the size, then the middle"
    from PIL import Image
    (H, W), (w, h) = size, image.size
    new = (w * H // h, H) if H * w >= W * h else (W, h * W // w)
    image = image.resize(new, Image.Resampling.BILINEAR)
    x, y = (new[0] - W + 1) // 2, (new[1] - H + 1) // 2
    return image.crop((x, y, x + W, y + H))


def chunk(kind, content, crc=None):
    "One of a PNG's"
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', crc)


def png(width, height, depth=8, colour=2, more=b'', rows=None, interlaced=0, crc=None):
    "A PNG of one colour, or of given rows"
    n = {0: 1, 2: 3, 3: 1}[colour] * depth
    rows = rows or (b'\0' + b'\x80' * ((width * n + 7) // 8)) * height
    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, interlaced)
    pixels = chunk(b'IDAT', zlib.compress(rows), crc)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + more + pixels + chunk(b'IEND', b'')


def _broken_file(how):
    "(bytes, level that all pixels must have; None: they must be refused; ...: as one likes)"
    whole = png(20, 20)
    profile = chunk(b'iCCP', b'x\0\0' + zlib.compress(os.urandom(3 << 20)))
    files = {
        'broken eXIf': (png(20, 20, more=chunk(b'eXIf', b'MM\0*\xff\xff\xff\xff')), 128), 'cut': (whole[:-30], None),
        'text of 3 MB': (png(20, 20, more=chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(3 << 20)))), 128),
        'profile of 3 MB': (png(20, 20, more=profile), 128), 'cut in the header': (whole[:20], None),
        'wrong CRC in a text': (png(20, 20, more=chunk(b'tEXt', b'a\0b', 7)), 128), 'no end': (whole[:-12], 128),
        'wrong CRC in the pixels': (png(20, 20, crc=7), ...), 'bytes after the end': (whole + bytes(1000), 128),
        'empty': (b'', None), 'a text file': (b'hello', None), '1 x 20000': (png(1, 20000), 128),
        '20000 x 1': (png(20000, 1), 128),
        '1 x 1000000': (png(1, 10**6), 128), 'a header of 10^9 pixels': (png(2**15, 2**15, rows=b'\0'), None),
        'grey 16 bits with a transparent level': (
            png(64, 48, 16, 0, chunk(b'tRNS', b'\x76\x38'), (b'\0' + b'\x76\x38' * 64) * 48), 255),
        'HEIC': (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(100), None), 'SVG': (b'<svg xmlns="x"/>', None),
        'AVIF': (b'\0\0\0\x18ftypavif\0\0\0\0mif1avif' + bytes(100), None),
        'EXIF orientation 9': (png(20, 20, more=chunk(b'eXIf', _exif(9))), 128),
        'EXIF orientation 0': (png(20, 20, more=chunk(b'eXIf', _exif(0))), 128),
        'a palette of two': (png(20, 20, 1, 3, chunk(b'PLTE', bytes([128] * 6))), 128),
        'an interlaced one': (whole, 128)}
    return files[how]


def _exif(turn):
    return b'MM\0*\0\0\0\x08\0\x01' + struct.pack('>HHIHH', 0x0112, 3, 1, turn, 0) + bytes(4)


def _broken(how):
    "Whole pixels are taken, others refused in words, in little memory"
    if how == 'many frames': return _frames()
    content, level = _broken_file(how)
    Path('image').write_bytes(content)
    try:
        found = kit.load_image('image', kit.config(model=dict(image_size=128)).model).mul(255).round()
    except Exception as error:
        verdict = of_exception(error)
        if verdict.result != 'fine' or level in (None, ...): return _named(how, verdict)
        return Verdict('unsaid', f'its pixels are whole, but it is refused: {verdict.words}', 'load_image')
    if level is None: return Verdict('unsaid', 'it is taken', 'load_image')
    if level is ...: return FINE
    off = abs(found - level).max().item()
    return Verdict('unsaid', f'off by {off:g} levels', 'load_image') if off > 1 else FINE


def _named(how, verdict):
    "A format that Pillow lacks is named"
    if verdict.result != 'fine' or how != 'HEIC' or 'heic' in verdict.words.lower(): return verdict
    return Verdict('unsaid', f'the format is not named: {verdict.words}', 'load_image')


def _frames():
    from PIL import Image
    frames = [Image.new('RGB', (32, 32), (i, i, i)) for i in range(40)]
    frames[0].save('image.gif', save_all=True, append_images=frames[1:])
    kit.load_image('image.gif', kit.config().model)
    return FINE


def _folder(what):
    "A folder of six good images and something else: they are read, the rest is skipped and counted"
    import numpy as np
    from PIL import Image
    d = Path('d')
    d.mkdir()
    for i in range(6): picture(d / f'{i}.png', i)
    odd, kinds = _odd_entries(d), {'12 bits in 16': (0, 4095), 'floats to 4000': (0, 4000),
                                   'Hounsfield numbers': (-1000, 400)}
    if what in kinds:
        rng, dtype = np.random.default_rng(0), np.float32 if what == 'floats to 4000' else np.int32
        for i in range(6):
            (d / f'{i}.png').unlink()
            v = rng.integers(*kinds[what], (20, 20)).astype(dtype)
            Image.fromarray(v.astype(np.uint16) if what == '12 bits in 16' else v).save(d / f'{i}.tif')
    else:
        odd[what]()
    expected = dict.fromkeys(('names with signs', 'an unreadable name of 255 letters'), 7)
    return _read_folder(what, expected.get(what, 6), what in kinds)


def _odd_entries(d):
    "What else may lie in a folder"
    def circle():
        os.symlink('y', d / 'x')
        os.symlink('x', d / 'y')
    def split(*names):
        for name in names:
            (d / name).mkdir()
            for i in range(3): (d / f'{3 * names.index(name) + i}.png').rename(d / name / f'{i}.png')
    def fifo_behind_link():
        os.mkfifo('fifo')
        os.symlink(Path('fifo').resolve(), d / 'x.png')
    return {
        'a FIFO': lambda: os.mkfifo(d / 'x.png'),
        'a link to nowhere': lambda: os.symlink('/nowhere/x.png', d / 'x.png'),
        'links in a circle': circle, 'a name that is not UTF-8': lambda: picture(os.fsdecode(b'd/\xff\xfe.png')),
        'a hidden file': lambda: picture(d / '.x.png'), 'an empty file': lambda: (d / 'x.png').touch(),
        'a text file': lambda: (d / 'x.txt').write_text('hello'), 'a socket': lambda: os.mknod(d / 'x.png', 0o140666),
        'a device': lambda: os.mknod(d / 'x.png', 0o20666, os.makedev(1, 5)) if not os.geteuid() else None,
        'a link to a FIFO': fifo_behind_link, 'train and validation': lambda: split('train', 'validation'),
        'train and test': lambda: split('train', 'test'),
        'a broken image': lambda: (d / 'x.png').write_bytes(png(9, 9)[:48]),
        'names with signs': lambda: picture(d / 'a {b} %s\n\x1b[31m.png'), 'one image': lambda: None,
        'a folder called x.png': lambda: (d / 'x.png').mkdir(),
        'a link to the folder itself': lambda: os.symlink('.', d / 'x'),
        'an unreadable name of 255 letters': lambda: picture(d / ('x' * 251 + '.png'))}


def _read_folder(what, n, must_warn):
    "As training reads it, and as `nvae evaluate` does"
    cfg = kit.config(data=dict(dataset='folder', root='d', test_fraction=.3), batch_size=1)
    said = kit.io.StringIO()
    with kit.contextlib.redirect_stderr(said), kit.contextlib.redirect_stdout(said):
        loaders = kit.dataloaders(cfg)
    found = loaders.train.n_images, loaders.test.n_images
    if sum(found) != n: return Verdict('unsaid', f'{found} images of {n}: {said.getvalue()!r}', 'dataloaders')
    if what.startswith('train and') and found != (3, 3):
        return Verdict('unsaid', f'training and held-out images are mixed: {found}', 'split_folder')
    if must_warn and not said.getvalue().strip() and _flat(loaders):
        return Verdict('unsaid', 'the whole set is black or white, which is not said', 'decode')
    if '\x1b' in said.getvalue(): return Verdict('raw', f'signs that control the terminal: {said.getvalue()!r}')
    kit.save(kit.NVAE(cfg), 'm.model')
    return of_command(kit.nvae('evaluate', 'm.model', '--data', 'd', '--limit', '1'),
                      ['evaluate', 'm.model', '--data', 'd'])


def _flat(loaders):
    "Nearly every pixel is the darkest or the lightest, or the whole set within a sixteenth"
    v = loaders.train.batch()
    return v.std() < 1 / 16 or ((v < .01) | (v > .99)).float().mean() > .95
